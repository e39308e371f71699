"""Export a model folder to ONNX, and check the file against the eager model."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.exporting import to_onnx


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    out: Annotated[Path, typer.Option(help="folder for model.onnx")] = Path("build"),
) -> None:
    """Write model.onnx: films (uint8, any batch size) -> logits, t_score; an ensemble's members' own as well."""
    typer.echo(f"wrote {to_onnx(model, out)}")


if __name__ == "__main__":
    typer.run(main)
