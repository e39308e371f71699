"""Quantise to int8 behind a guard: python export/quantise.py RUN --data films.csv."""

import typer

from osteolens.cli.quantise import quantise

if __name__ == "__main__":
    typer.run(quantise)
