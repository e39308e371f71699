"""`osteolens recalibrate`: a model's fitted numbers, fitted again for a place."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors, packages_of


@one_line_errors
def recalibrate(
    model: Annotated[str, options.model_argument("A name in weights/, a model folder, or an archive (.mar).")],
    table: Annotated[Path, options.labelled_films(" At least 50 patients, 10 of each label.")],
    out: Annotated[Path, options.out("Folder for model/, report.html, predictions.csv and recalibration.json.")],
    name: Annotated[str, typer.Option(help="Name of the new model; default: its parent's.")] = "",
    place: Annotated[str, typer.Option(help="The films in words, for the card; default: the table's name.")] = "",
    trained_on: options.TrainedOn = None,
    leave_out: options.LeaveOut = False,
    skip: options.Skip = "",
    json_output: options.Json = False,
) -> None:
    """Fit calibration, operating points, T-score interval and fusion to a place; the weights stay as they are.

    The new card has the next version and names its parent. What is reported of a film was fitted on other films.
    """
    with packages_of("train", "the recalibration"):
        from rich.console import Console

        from osteolens.reports.recalibration import JSON_FILE, PAGE_FILE, recalibrate_at_site, show
        from osteolens.reports.validation import Request
    named = model if "/" in model else str(model_folder(model))
    request = Request(named, table, skip=skip, trained_on=trained_on, leave_out=leave_out)
    with options.json_instead(json_output, out / JSON_FILE):
        card = recalibrate_at_site(request, out, Console(stderr=True), name=name, place=place)
        show(out, card, Console())
        print(f"written to {out / 'model'} ({card.name} {card.version}) and {out / PAGE_FILE}")
