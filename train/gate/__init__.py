"""Trains and measures the gate: the small network that tells knee films from everything else, and its thresholds."""
