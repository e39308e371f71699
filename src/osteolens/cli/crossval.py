"""`osteolens crossval`: a model per fold, and every film answered by the model that never saw it."""

import os
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Literal

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors, packages_of

CORES = os.cpu_count() or 1


@one_line_errors
def crossval(
    data: options.Films,
    out: options.Run,
    config: options.Config = None,
    name: options.Name = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds, by group and with the same mix of labels.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, max=50, help="How often all films are shuffled into folds.")] = 1,
    fold_table: Annotated[
        Path | None, typer.Option(help="A folds.csv written before: the same folds, for a fair comparison.")
    ] = None,
    by_source: Annotated[
        bool, typer.Option("--by-source", help="One fold per `source`: each place is tested by models new to it.")
    ] = False,
    restart: options.Restart = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Folds trained at a time; they share the cores.")
    ] = CORES,
    engine: Annotated[
        Literal["processes", "ray"],
        typer.Option(
            help="What trains the folds: processes of this machine, or the machines of a Ray cluster ($RAY_ADDRESS "
            "says which; they share --out), as many at a time as its cores allow, each with as many threads as by "
            "--jobs."
        ),
    ] = "processes",
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble", help="The model to ship is the first repeat's folds together, not one trained on all films."
        ),
    ] = False,
    json_output: options.Json = False,
) -> None:
    """Train a model per fold, and answer every film with the model that never saw it.

    Leaves in --out: folds.csv, predictions.csv (every out-of-fold answer), metrics.json, run.json, model/ (weights
    and card, to be exported and served), and a folder per fold. `osteolens report OUT` makes the page.
    """
    with packages_of("train", "training"):
        from rich.console import Console

        from osteolens.training.cross_run import run
        from osteolens.training.outcome import METRICS_FILE
    with options.json_instead(json_output, out / METRICS_FILE):
        run(
            options.configuration(config, data), data, out, name=name or out.name, folds=folds, repeats=repeats,
            table=fold_table, by_source=by_source, jobs=jobs, ensemble=ensemble, console=Console(),
            executor=_ray_executor() if engine == "ray" else None, restart=restart,
        )  # fmt: skip


# Ray is imported only where it trains: it starts processes and takes a second.
def _ray_executor() -> Executor:
    with packages_of("scale", "--engine ray"):
        from osteolens.training.cross_ray import RayExecutor
    return RayExecutor()
