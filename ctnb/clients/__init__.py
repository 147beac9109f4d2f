"""HTTP clients of portals, all on the one HTTP library."""
