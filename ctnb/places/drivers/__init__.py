"""Databases: one module for each kind, that runs a query in a read-only session and streams its rows."""
