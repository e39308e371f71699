"""`osteolens train`: a model, and how well it does on films of groups that it never saw."""

from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors, packages_of


@one_line_errors
def train(
    data: options.Films,
    out: options.Run,
    config: options.Config = None,
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
    json_output: options.Json = False,
) -> None:
    """Train a knee model, and measure it on films of groups that it never saw.

    Leaves in --out: model/ (weights and card, to be exported and served), predictions.csv, split.csv, metrics.json,
    log.csv, curves.png, tensorboard/ and checkpoint.safetensors. `osteolens report OUT` makes the page.
    """
    with packages_of("train", "training"):
        from rich.console import Console

        from osteolens.training.fit import fit
        from osteolens.training.outcome import METRICS_FILE
    settings = options.configuration(config, data)
    with options.json_instead(json_output, out / METRICS_FILE):
        fit(settings, data, out, name=name or out.name, restart=restart, trial=trial, console=Console())
