"""How fast each backend and a running server answer, and on what machine."""
