"""Train a knee model: python train/fit.py --config train/configs/efficientnet.toml --data films.csv --out runs/a."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.console import one_line_errors
from osteolens.training.config import load_configuration
from osteolens.training.fit import fit


@one_line_errors
def main(
    config: Annotated[Path, typer.Option(help="Settings, such as train/configs/efficientnet.toml.")],
    data: Annotated[
        Path,
        typer.Option(
            help="A table (CSV, Excel, Parquet) with the columns file (relative to the table) and label, and "
            "optionally group (patient), t_score, age and sex; or a folder that holds one folder of films per class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder. A run that was stopped there goes on exactly.")],
    name: Annotated[
        str | None, typer.Option(help="The name under which the model will be served; default: that of --out.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Delete the run in --out, and train again.")] = False,
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

    Leaves in --out: model/ (weights and card), predictions.csv, split.csv, metrics.json, log.csv, curves.png,
    tensorboard/ and checkpoint.safetensors.
    """
    settings = load_configuration(config)
    fit(settings, data, out, name=name or out.name, restart=restart, trial=trial, console=Console())


if __name__ == "__main__":
    typer.run(main)
