"""`osteolens doctor`: what is installed and in order."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import MODEL_STORE, WEIGHTS, Status, one_line_errors


@one_line_errors
def doctor(
    model_store: Annotated[Path, typer.Option("--model-store", help="Folder of the archives.")] = MODEL_STORE,
    weights: Annotated[Path, typer.Option(help="Folder of the models that they are built from.")] = WEIGHTS,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The server's configuration; default: as `serve` takes it.")
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Say what is installed, whether keys, ports, archives and the app are in order, and how to fix what is not.

    Changes nothing. Exit status: 0 nothing has to be fixed, 5 something has.
    """
    from osteolens.doctor import examine
    from osteolens.doctor.server import CONFIG

    checks = list(examine(model_store, weights, config or CONFIG))
    if json_output:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            mark = "FIX " if check.state == "fix" else f"{check.state:4}"
            typer.echo(f"{mark}  {check.name:{width}}  {check.text}")
            if check.remedy:
                typer.echo(f"{'':{width + 8}}{check.remedy}")
    if any(check.state == "fix" for check in checks):
        raise typer.Exit(Status.FINDINGS)
