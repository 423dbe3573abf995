"""Back-off models, and their files in the format of ARPA.

Contents
    model       `BackoffModel`: what such a file is, or a model that was pruned
    reading     files to models
    ngrams      the n-grams of a table: a line of a file each
    writing     n-grams to files
"""
