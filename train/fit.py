"""Train a knee model: python train/fit.py --config train/configs/efficientnet.toml --data films.csv --out runs/a."""

from typing import Annotated

import typer
from rich.console import Console

from osteolens.console import one_line_errors
from osteolens.training import options
from osteolens.training.config import load_configuration
from osteolens.training.fit import fit


@one_line_errors
def main(
    config: options.Config,
    data: options.Data,
    out: options.Out,
    name: options.Name = None,
    restart: options.Restart = False,
    trial: Annotated[
        bool,
        typer.Option(
            "--trial",
            help="Score the validation films and leave the held-out ones alone: use it while choosing settings. "
            "The same command without it then scores the held-out films, without training again.",
        ),
    ] = False,
) -> None:
    """Train a knee model, and measure it on films of groups that it never saw.

    Leaves in --out: model/ (weights and card, to be exported and served), predictions.csv, split.csv, metrics.json,
    log.csv, curves.png, tensorboard/ and checkpoint.safetensors. `osteolens report OUT` makes the page.
    """
    settings = load_configuration(config)
    fit(settings, data, out, name=name or out.name, restart=restart, trial=trial, console=Console())


if __name__ == "__main__":
    typer.run(main)
