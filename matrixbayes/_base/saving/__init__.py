"""What files say of how things were made, and things on the HuggingFace hub."""
