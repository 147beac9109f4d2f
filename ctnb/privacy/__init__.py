"""The privacy review: what is asked about a table, what was found, and who decided."""
