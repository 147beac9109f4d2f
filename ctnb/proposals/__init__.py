"""Proposals: what a dataset's contract could be, from all rows of its source, for a person to correct."""
