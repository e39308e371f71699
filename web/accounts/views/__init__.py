"""Pages of log-in, of one's own account, and of staff."""
