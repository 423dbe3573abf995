"""Rows of a model at each of its layers: what they would be if the model ended there.

lens          runs a model and keeps the states between its layers
run           the rows of a run at each layer that is asked for
layer_rows    rows by layer
plots         pictures of these
"""
