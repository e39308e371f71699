"""Write the ONNX graphs of a model folder: fp32, and int8 where the card accepts it."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import load_card
from osteolens.console import one_line_errors
from osteolens.exporting.graph import has_graph, write_graphs, write_int8

BUILD = Path(__file__).resolve().parents[1] / "build"


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    out: Annotated[Path | None, typer.Option(help="folder for model.onnx [default: build/NAME]")] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="trace the PyTorch model even where graph.onnx is there, and write that too")
    ] = False,
) -> None:
    """Write model.onnx: films (uint8, any batch size) -> answers, heat maps of every class, pooled features.

    From graph.onnx beside the card where it is there, in a second and without PyTorch; else the PyTorch model is traced
    and the graph is checked against it. Beside it model.int8.onnx, where export/quantise.py found that its answers stay
    the model's.
    """
    card = load_card(model)
    out = out or BUILD / card.name
    if has_graph(model) and not trace:
        files = write_graphs(model, out)
    else:
        from osteolens.exporting.onnx import to_onnx, write_graph  # bring PyTorch

        exported = to_onnx(model, out)
        files = [exported, *write_int8(model, card, out), *([write_graph(model, exported)] if trace else [])]
    for path in files:
        typer.echo(f"wrote {path}")
    for result in card.quantisation:
        if not result.accepted:
            typer.echo(f"no {result.precision} graph, as the card refuses it: {'; '.join(result.reasons)}")


if __name__ == "__main__":
    typer.run(main)
