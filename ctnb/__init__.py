"""Read, transform, review for privacy and publish open data, in notebooks that keep a record."""
