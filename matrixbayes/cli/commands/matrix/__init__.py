"""A file for each command about the Matrix of a text."""
