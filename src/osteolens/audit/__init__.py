"""Leaks, copies, contradicting labels and shortcuts in a data set, before anything is trained on it."""
