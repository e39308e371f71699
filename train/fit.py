"""Train a knee model: python train/fit.py --config train/configs/efficientnet.toml --data films.csv --out runs/a."""

import typer

from osteolens.cli.train import train

if __name__ == "__main__":
    typer.run(train)
