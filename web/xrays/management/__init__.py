"""Commands of the films."""
