"""A file for each command: its options, what it does, and what it says."""
