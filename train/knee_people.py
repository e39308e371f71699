"""Train the reader of persons: python train/knee_people.py --data knees.csv --out runs/knee_people."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.cli import options
from osteolens.console import one_line_errors
from osteolens.training.config import load_configuration
from osteolens.training.people import read_people
from osteolens.training.people_run import fit_people


@one_line_errors
def main(
    data: Annotated[
        Path,
        typer.Option(
            help="Table with the columns file, person, split (train, or val for held-out persons), sex, age, bmi, "
            "bisphosphonate_baseline (1 or 0) and kl (0 to 4); empty cells are unknown."
        ),
    ],
    out: options.Run,
    config: Annotated[Path, typer.Option(help="Configuration.")] = Path("train/configs/knee_people.toml"),
) -> None:
    """Learn sex, age, BMI, bisphosphonate use and grade from knees, and score persons that were held out.

    A killed run goes on with the same command. Leaves in --out: model/ (weights.safetensors, people.json and a page),
    log.csv and checkpoint.safetensors. The facts of the persons go into no file.
    """
    console, settings = Console(), load_configuration(config)
    fit_people(settings, read_people(data, settings, console), out, console)


if __name__ == "__main__":
    typer.run(main)
