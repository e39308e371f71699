"""Measure the exported files of a model against the PyTorch model they came from."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.bench.measure import benchmark_models
from osteolens.bench.models import FILES
from osteolens.bench.plan import EAGERS, Settings
from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors


@one_line_errors
def main(
    model: Annotated[str, options.model_argument()],
    exports: Annotated[Path | None, typer.Option(help="Folder of the exported files; default build/NAME.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", "--films", help="Folder of films; default: made-up 1024 x 1024 JPEGs."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each measurement.")] = Settings.rounds,
    calls: Annotated[int, typer.Option(help="Timed calls in a turn.")] = Settings.calls,
    out: Annotated[Path, options.out("Folder for bench.json, .csv, .md and .png.")] = Path("bench"),
) -> None:
    """Measure TorchScript, ONNX and what else runs the exported files; `osteolens bench` measures more."""
    settings = Settings(backends=(*EAGERS, *FILES), rounds=rounds, calls=calls)
    raise typer.Exit(benchmark_models([model_folder(model)], exports, settings, data, out))


if __name__ == "__main__":
    typer.run(main)
