"""Quantise to int8 behind a guard: python export/quantise.py RUN --model RUN/model --data films.csv."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.card import RANGES_FILE
from osteolens.console import one_line_errors
from osteolens.evaluation.int8.guard import judge_maps_again, quantise_model


@one_line_errors
def main(
    run: Annotated[Path, typer.Argument(help="The folder of a cross-validation, with predictions.csv in it.")],
    model: Annotated[Path, typer.Option(help="The model folder to quantise, trained on all films of the run.")],
    data: Annotated[Path, typer.Option(help="The table or folder of films that the run was made from.")],
    members: Annotated[
        Path | None,
        typer.Option(help="An ensemble of the folds' models, in order, where RUN holds none, such as weights/knee."),
    ] = None,
    maps_only: Annotated[
        bool,
        typer.Option("--maps-only", help="Compare the heat maps alone, by the ranges beside the card: needs no folds."),
    ] = False,
) -> None:
    """Compare int8 with fp32 on films that the models never saw, and write the finding into the model's card.

    If it is accepted, activation_ranges.json is written beside the card: from it and the weights, export/to_onnx.py
    makes the int8 graph without any film. Both change the card's hash: export and archive again.
    """
    console = Console()
    if maps_only:
        result = judge_maps_again(run, model, data, console)
    else:
        result = quantise_model(run, model, data, members, console)
    for name, value in result.auroc.items():
        console.print(f"{name}: {result.auroc_fp32[name]:.4f} in fp32, {value:.4f} in int8", highlight=False)
    console.print(
        f"labels that differ: {result.label_disagreement:.1%}, "
        f"before calibration {result.uncalibrated_label_disagreement:.1%}; "
        f"largest change of a probability {result.largest_difference:.4f}, "
        f"before calibration {result.largest_uncalibrated_difference:.4f}; "
        f"cosine of heat maps {result.map_cosine:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    if result.maps_held is not None:
        console.print(f"heat maps that hold: {result.maps_held:.1%} of {result.maps}", highlight=False)
    verdict = f"accepted: {model / RANGES_FILE}" if result.accepted else f"refused: {'; '.join(result.reasons)}"
    console.print(verdict, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
