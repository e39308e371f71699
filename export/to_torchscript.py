"""Export a model to TorchScript: python export/to_torchscript.py weights/efficientnet."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.cli.export import export


def main(
    model: Annotated[str, options.model_argument()],
    out: Annotated[Path | None, options.out("Folder for the file; default: build/NAME, as in the card.")] = None,
) -> None:
    """Write model.torchscript.pt with the methods forward, features and head; see `osteolens export`."""
    export(model, out, "torchscript")


if __name__ == "__main__":
    typer.run(main)
