"""Put the facts of a corrected table into stored predictions: python train/correct_facts.py RUN --data films.csv."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.datasets.films import read_films
from osteolens.evaluation.predictions import PREDICTIONS_FILE, read_predictions


@one_line_errors
def main(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as evidence/knee: its predictions.csv is written.")],
    data: Annotated[Path, typer.Option(help="The corrected table of the run's films.")],
    skip: Annotated[str, typer.Option(help="Leave out rows where this column is 1, as the run did.")] = "",
) -> None:
    """Take age, sex, weight, height and T-score of every film from the table; answers, labels and groups stay.

    What a model was trained on does not change by that: it is what the films are scored by, and fused with.
    """
    path = run / PREDICTIONS_FILE
    before = read_predictions(path)
    after = before.with_facts(read_films(data, skip))
    after.write(path)
    changed = sum(str(one) != str(other) for one, other in zip(before.films, after.films, strict=True))
    typer.echo(f"{path}: the facts of {changed} of {len(after.films)} films changed")


if __name__ == "__main__":
    typer.run(main)
