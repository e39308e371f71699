"""`osteolens study`: from a table of films to a model that can be served."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import Status, one_line_errors, packages_of
from osteolens.errors import LeakFound

CORES = os.cpu_count() or 1


@one_line_errors
def study(
    table: Annotated[Path, options.labelled_films()],
    out: Annotated[Path, options.out("The study's folder. The same command goes on where it was stopped.")],
    config: options.Config = None,
    name: options.Name = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds, by group and with the same mix of labels.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, max=50, help="How often all films are shuffled into folds.")] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Folds trained at a time; they share the cores.")
    ] = CORES,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Ship the folds' models together, not one trained on all films.")
    ] = False,
    only_plan: Annotated[bool, typer.Option("--plan", help="Write plan.md and stop.")] = False,
    mlflow: Annotated[
        str, typer.Option(help="Experiment of MLflow to log to; $MLFLOW_TRACKING_URI says where. Needs mlflow.")
    ] = "",
) -> None:
    """Audit films, cross-validate, report, export, compare and archive: one command, and then the one that serves it.

    Stops at a leak with exit status 5. Leaves plan.md, audit/, run/ with the model and its page, exports/, parity.json
    and model_store/.
    """
    with packages_of("train", "a study"):
        from rich.console import Console

        from osteolens.study.run import study as run_study
    try:
        run_study(
            options.configuration(config, table), table, out, name=name or out.resolve().name, folds_wanted=folds,
            repeats=repeats, jobs=jobs, ensemble=ensemble, only_plan=only_plan, experiment=mlflow, console=Console(),
        )  # fmt: skip
    except LeakFound as error:
        print(f"stopped: {error}", file=sys.stderr)
        raise typer.Exit(Status.FINDINGS) from error
