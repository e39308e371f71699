"""Measures what OsteoLens does: how fast it answers, and on what machine."""

from osteolens.errors import BenchmarkError as BenchmarkError
