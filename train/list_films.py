"""List the films that a model has learned from: python train/list_films.py --model weights/knee --data films.csv."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import load_card
from osteolens.console import one_line_errors
from osteolens.datasets.films import read_films
from osteolens.datasets.fingerprints import list_films


@one_line_errors
def main(
    model: Annotated[Path, typer.Option(help="The model folder.")],
    data: Annotated[Path, typer.Option(help="The table or folder of the films that it was trained on.")],
    skip: Annotated[str, typer.Option(help="Column of the table; rows where it is true are left out.")] = "",
) -> None:
    """Write training_films.json beside the weights: fingerprints by which `osteolens evaluate` refuses these films.

    Training writes it by itself; this is for models from before it did.
    """
    load_card(model)
    films = read_films(data, skip)
    typer.echo(f"wrote {list_films(model, [film.path for film in films])} ({len(films)} films)")


if __name__ == "__main__":
    typer.run(main)
