"""What files say of how things were made."""
