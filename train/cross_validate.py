"""Cross-validate by group: python train/cross_validate.py --config CONFIG --data films.csv --out runs/knee."""

import typer

from osteolens.cli.crossval import crossval

if __name__ == "__main__":  # processes that train a fold import this file again
    typer.run(crossval)
