"""Drift: this source against its contract, and this table against the last release. Counts, never a value."""
