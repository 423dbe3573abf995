"""Cross-validation of fits.

Contents
    folds    who is in which, and the score of a fit on rows that it has not seen
"""
