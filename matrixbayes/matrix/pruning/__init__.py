"""Models of fewer n-grams, and what they lose."""
