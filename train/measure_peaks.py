"""Measure how strong a model's heat maps usually are: python train/measure_peaks.py --model weights/knee ..."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.cli import options
from osteolens.console import one_line_errors
from osteolens.evaluation.maps.peaks import measure_peaks


@one_line_errors
def main(
    model: Annotated[Path, options.model("The model folder, such as weights/knee: its card gets the peaks.")],
    run: Annotated[
        Path, typer.Option(help="A run's folder, such as evidence/knee: its predictions.csv names the films.")
    ],
    data: options.FilmsOfRun,
) -> None:
    """Write the median peak of each label's Grad-CAM map, over films with this label, into the card.

    Weaker maps are then drawn fainter. The card's hash changes: export and archive again.
    """
    console = Console()
    card = measure_peaks(model, run, data, console)
    for label, peak in card.map_peaks.items():
        console.print(f"{label}: {peak:g}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
