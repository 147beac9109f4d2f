"""The demonstration's synthetic data: `deaths` invents it, `places` and `words` are what it draws from."""
