"""Put the facts of a corrected table into stored predictions: python train/correct_facts.py RUN --data films.csv."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.card import CARD_FILE, PreprocessSpec
from osteolens.cli import options
from osteolens.console import one_line_errors
from osteolens.datasets.films import load_films, read_films
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.evaluation.run_folder import MODEL_FOLDER, read_run
from osteolens.training.outcome import write_outcome


@one_line_errors
def main(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's folder, such as evidence/knee: its predictions.csv is written."),
    ],
    data: Annotated[Path, options.data("The corrected table of the run's films.")],
    skip: Annotated[str, typer.Option(help="Leave out rows where this column is 1, as the run did.")] = "",
    model: Annotated[
        Path | None,
        options.model("The model whose card is written again, such as weights/knee; default: RUN/model."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Read the films and store how each was taken, for the baseline of that.")
    ] = False,
) -> None:
    """Take age, sex, weight, height and T-score of every film from the table; answers, labels and groups stay.

    What a model was trained on does not change by that: it is what the films are scored by, and fused with. Figures
    and fitted parameters are computed again, into metrics.json and the model's card.
    """
    stored = read_run(run)
    console, films = Console(stderr=True), read_films(data, skip)
    if measure:
        films = load_films(films, PreprocessSpec(), console)[0]
    before, after = stored.predictions, stored.predictions.with_facts(films)
    path = run / PREDICTIONS_FILE
    after.write(path)
    changed = sum(str(old) != str(new) for old, new in zip(before.all_films, after.all_films, strict=True))
    typer.echo(f"{path}: the facts of {changed} of {len(after.all_films)} films changed")
    folder = model or run / MODEL_FOLDER
    if model or (folder / CARD_FILE).exists():
        write_outcome(run, console, ensemble=stored.ensemble, folder=folder)
        typer.echo(f"{folder / CARD_FILE}: written again")


if __name__ == "__main__":
    typer.run(main)
