"""Upload page, checks of what comes in, and its way into the store."""
