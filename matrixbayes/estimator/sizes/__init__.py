"""Fits of several sizes beside each other.

prior_selection    what was fitted, and which was chosen
"""
