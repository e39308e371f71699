"""Measures what OsteoLens does: how fast it answers, and on what machine."""
