"""Fits to rows that are known in part, model.md section 4d.

Contents
    given         such rows as a caller hands them in
    statistics    what an M-step needs to know of them
    density       them by their density
    drawn         them at a resolution
    bracket       bits of the complete rows: at least, and at most
"""
