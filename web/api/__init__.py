"""HTTP API for other programs."""
