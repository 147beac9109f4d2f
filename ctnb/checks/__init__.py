"""Checks that write nothing: what would stop a dataset from being published, and whether a portal lets it."""
