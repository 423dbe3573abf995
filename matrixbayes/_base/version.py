"""The version: the front hands it on, reports and files say it; packages and pages agree."""

__version__ = "0.2.0"
