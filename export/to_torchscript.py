"""Export a model folder to TorchScript, and check the file against the eager model."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import load_card
from osteolens.console import one_line_errors
from osteolens.exporting.torchscript import to_torchscript

BUILD = Path(__file__).resolve().parents[1] / "build"


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    out: Annotated[Path | None, typer.Option(help="folder for model.torchscript.pt [default: build/NAME]")] = None,
) -> None:
    """Write model.torchscript.pt with the methods forward, features and head."""
    typer.echo(f"wrote {to_torchscript(model, out or BUILD / load_card(model).name)}")


if __name__ == "__main__":
    typer.run(main)
