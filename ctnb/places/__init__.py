"""Where a source's rows lie, and how they are fetched into a snapshot: one module for each kind of place."""
