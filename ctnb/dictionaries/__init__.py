"""Data dictionaries: what the columns of a dataset mean, written for people and programs, and read back."""
