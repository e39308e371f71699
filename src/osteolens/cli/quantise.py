"""`osteolens quantise`: int8 behind a guard."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import RANGES_FILE
from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors, packages_of


@one_line_errors
def quantise(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a cross-validation, with predictions.csv in it.")
    ],
    data: options.FilmsOfRun,
    model: Annotated[
        str | None, options.model("The model to quantise, trained on all films of the run; default: RUN/model.")
    ] = None,
    members: options.Members = None,
    maps_only: Annotated[
        bool,
        typer.Option("--maps-only", help="Compare the heat maps alone, by the ranges beside the card: needs no folds."),
    ] = False,
) -> None:
    """Compare int8 with fp32 on films that the models never saw, and write the finding into the model's card.

    If it is accepted, activation_ranges.json is written beside the card: from it and the weights, `osteolens export`
    makes the int8 graph without any film. Both change the card's hash: export and archive again.
    """
    with packages_of("train", "quantisation"):
        from rich.console import Console

        from osteolens.evaluation.int8.guard import judge_maps_again, quantise_model
    folder, console = model_folder(model) if model else run / "model", Console()
    if maps_only:
        result = judge_maps_again(run, folder, data, console)
    else:
        result = quantise_model(run, folder, data, members, console)
    for name, value in result.auroc.items():
        typer.echo(f"{name}: {result.auroc_fp32[name]:.4f} in fp32, {value:.4f} in int8")
    typer.echo(
        f"labels that differ: {result.label_disagreement:.1%}, "
        f"before calibration {result.uncalibrated_label_disagreement:.1%}; "
        f"largest change of a probability {result.largest_difference:.4f}, "
        f"before calibration {result.largest_uncalibrated_difference:.4f}; "
        f"cosine of heat maps {result.map_cosine:.4f}"
    )
    if result.maps_held is not None:
        typer.echo(f"heat maps that hold: {result.maps_held:.1%} of {result.maps}")
    typer.echo(f"accepted: {folder / RANGES_FILE}" if result.accepted else f"refused: {'; '.join(result.reasons)}")
