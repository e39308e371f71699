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
        found = judge_maps_again(run, model, data, console)
    else:
        found = quantise_model(run, model, data, members, console)
    for name, value in found.auroc.items():
        console.print(f"{name}: {found.auroc_fp32[name]:.4f} in fp32, {value:.4f} in int8", highlight=False)
    console.print(
        f"labels that differ: {found.label_disagreement:.1%}, before calibration "
        f"{found.uncalibrated_label_disagreement:.1%}; largest change of a probability {found.largest_difference:.4f}, "
        f"before calibration {found.largest_uncalibrated_difference:.4f}; cosine of heat maps {found.map_cosine:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    if found.maps_held is not None:
        console.print(f"heat maps that hold: {found.maps_held:.1%} of {found.maps}", highlight=False)
    verdict = f"accepted: {model / RANGES_FILE}" if found.accepted else f"refused: {'; '.join(found.reasons)}"
    console.print(verdict, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
