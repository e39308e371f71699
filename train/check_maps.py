"""Check a run's heat maps: python train/check_maps.py --run runs/a --data films.csv."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from osteolens.card import load_card
from osteolens.cli import options
from osteolens.console import one_line_errors
from osteolens.evaluation.int8.folds import split_ensemble
from osteolens.evaluation.maps.checks import check_maps, passes
from osteolens.evaluation.maps.findings import MAPS_FILE
from osteolens.evaluation.maps.runs import MODEL_FOLDER, draw_files, unseen_films
from osteolens.evaluation.predictions import PREDICTIONS_FILE, read_predictions


@one_line_errors
def main(
    run: Annotated[
        list[Path],
        typer.Option(
            help="The folder of a cross-validation or of a single split: its predictions.csv says which films no model "
            "of it saw. Given several times, the runs' models answer together."
        ),
    ],
    data: options.FilmsOfRun,
    model: Annotated[
        Path | None,
        options.model("The shipped model, whose calibration decides the answered label; default: model in RUN."),
    ] = None,
    members: options.Members = None,
    films: Annotated[int | None, typer.Option(min=1, help="At most so many films, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the drawing of films.")] = 0,
    out: Annotated[Path | None, options.out("The file to write; default: maps.json in the first run.")] = None,
) -> None:
    """Say whether Grad-CAM is worth looking at: deletion and insertion, drawn weights, mass outside the body.

    Every film is explained by the model that never saw it (of the first repeat), for the label that it answers.
    """
    console = Console()
    predictions = read_predictions(run[0] / PREDICTIONS_FILE)
    shipped = model or run[0] / MODEL_FOLDER
    card = load_card(shipped)
    chosen = draw_files(predictions, films, seed) if films else None
    with TemporaryDirectory() as scratch:
        folders = split_ensemble(members, Path(scratch)) if members else []
        if model and not members and predictions.fold.max() == predictions.fold.min():
            folders = [model]
        parts = unseen_films(run, data, chosen, folders)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"explaining {sum(len(part.films) for part in parts)} films", total=passes(parts))
        checks = check_maps(parts, predictions.labels, card.calibration, lambda count: bar.advance(task, count))
    path = out or run[0] / MAPS_FILE
    checks.write(path)
    for metric in (*checks.differences, *checks.cascade):
        console.print(f"{metric.name}: {metric.value:+.3f} [{metric.low:+.3f}, {metric.high:+.3f}]", markup=False)
    for region in checks.regions:
        console.print(f"{region.name}: {region.mass.value:.1%} of the map on {region.area.value:.1%} of the area")
    console.print(f"written to {path}")


if __name__ == "__main__":
    typer.run(main)
