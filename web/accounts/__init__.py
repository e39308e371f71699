"""Who may log in, and the log of who did what."""
