"""Measure the exported files of a model against the PyTorch model they came from."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.bench.measure import benchmark_models
from osteolens.bench.models import FILES
from osteolens.bench.plan import EAGERS, Settings
from osteolens.console import one_line_errors


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    exports: Annotated[Path | None, typer.Option(help="folder of the exported files; default build/NAME")] = None,
    films: Annotated[Path | None, typer.Option(help="folder of films; default: made-up 1024 x 1024 JPEGs")] = None,
    rounds: Annotated[int, typer.Option(help="turns of each measurement")] = Settings.rounds,
    calls: Annotated[int, typer.Option(help="timed calls in a turn")] = Settings.calls,
    out: Annotated[Path, typer.Option(help="folder for bench.json, .csv, .md and .png")] = Path("bench"),
) -> None:
    """Measure TorchScript, ONNX and what else runs the exported files; `osteolens bench` measures more."""
    settings = Settings(backends=(*EAGERS, *FILES), rounds=rounds, calls=calls)
    raise typer.Exit(benchmark_models([model], exports, settings, films, out))


if __name__ == "__main__":
    typer.run(main)
