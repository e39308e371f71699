"""Export a model folder to ONNX, checked against eager, and to int8 where the card accepts it."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import INT8_FILE, ONNX_FILE, load_card
from osteolens.console import one_line_errors
from osteolens.exporting.int8 import load_ranges, quantise
from osteolens.exporting.onnx import to_onnx

BUILD = Path(__file__).resolve().parents[1] / "build"


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    out: Annotated[Path | None, typer.Option(help="folder for model.onnx [default: build/NAME]")] = None,
) -> None:
    """Write model.onnx: films (uint8, any batch size) -> answers, heat maps of every class, pooled features.

    Beside it model.int8.onnx, where export/quantise.py found that its answers stay the model's.
    """
    card = load_card(model)
    out = out or BUILD / card.name
    typer.echo(f"wrote {to_onnx(model, out)}")
    if card.accepts("int8"):
        typer.echo(f"wrote {quantise(out / ONNX_FILE, load_ranges(model), card, out / INT8_FILE)}")
    else:
        (out / INT8_FILE).unlink(missing_ok=True)  # an earlier card may have accepted it
        for result in card.quantisation:
            typer.echo(f"no {result.precision} graph, as the card refuses it: {'; '.join(result.reasons)}")


if __name__ == "__main__":
    typer.run(main)
