"""Commands of the whole app."""
