"""What is compared: rows of matrices and models, over the tokens that both have."""
