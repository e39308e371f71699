"""`osteolens export`: a trained model as a graph that other programs run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from osteolens.card import load_card
from osteolens.cli import options
from osteolens.console import EXPORTS, model_folder, one_line_errors, packages_of


@one_line_errors
def export(
    model: Annotated[str, options.model_argument()],
    out: Annotated[Path | None, options.out("Folder for the files; default: build/NAME, as in the card.")] = None,
    file_format: Annotated[
        Literal["onnx", "torchscript"], typer.Option("--format", "-f", help="What to write.")
    ] = "onnx",
    trace: Annotated[
        bool, typer.Option("--trace", help="Trace the PyTorch model though graph.onnx is there, and write that too.")
    ] = False,
) -> None:
    """Write a model's graph, and check it against the model.

    model.onnx: films (uint8, any batch size) to answers, heat maps of every class, pooled features. It is made from
    graph.onnx beside the card where that is there, in a second and without PyTorch; else the PyTorch model is traced
    and the graph is checked against it. Beside it model.int8.onnx, where `osteolens quantise` found that its answers
    stay the model's.

    Or model.torchscript.pt, with the methods forward, features and head.
    """
    folder = model_folder(model)
    card = load_card(folder)
    out = out or EXPORTS / card.name
    with packages_of("export", "the export"):
        if file_format == "torchscript":
            from osteolens.exporting.torchscript import to_torchscript

            typer.echo(f"wrote {to_torchscript(folder, out)}")
            return
        for path in _write_onnx(folder, out, trace):
            typer.echo(f"wrote {path}")
    for result in card.quantisation:
        if not result.accepted:
            typer.echo(f"no {result.precision} graph, as the card refuses it: {'; '.join(result.reasons)}")


def _write_onnx(folder: Path, out: Path, trace: bool) -> list[Path]:
    from osteolens.exporting.graph import has_graph, write_graphs, write_int8

    if has_graph(folder) and not trace:
        return write_graphs(folder, out)
    from osteolens.exporting.onnx import to_onnx, write_graph  # bring PyTorch

    exported = to_onnx(folder, out)
    return [exported, *write_int8(folder, load_card(folder), out), *([write_graph(folder, exported)] if trace else [])]
