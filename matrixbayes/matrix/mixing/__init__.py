"""Mixtures of models of one vocabulary: their weights, and what they say together."""
