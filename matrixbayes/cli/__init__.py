"""The command line: what `matrixbayes` and ``python -m matrixbayes`` do.

Contents
    main    run it, and say how it went
"""

from .program import main

__all__ = ["main"]
