"""The version: the front hands it on, reports say it; pyproject.toml and CITATION.cff agree."""

__version__ = "0.1.0"
