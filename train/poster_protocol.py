"""Make the poster's figures again: python train/poster_protocol.py --data knees.csv --out runs/poster."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from osteolens.cli import options
from osteolens.console import one_line_errors
from osteolens.training.config import load_configuration
from poster.protocol import reproduce

SETTINGS = Path(__file__).parent / "configs" / "poster.toml"
ARCHITECTURES = ["tf_efficientnet_lite0", "yolov5n"]


@one_line_errors
def main(
    data: Annotated[
        Path,
        options.data(
            "A CSV table of the published pictures: file (relative to the table), group (patient), "
            "kaggle_label, source_label (of the film) and copies (files published with the picture)."
        ),
    ],
    out: Annotated[Path, options.out("The run's folder. A run that was stopped there goes on with its next fold.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Settings; model.architecture is taken from --architecture.")
    ] = SETTINGS,
    architecture: Annotated[
        list[str], typer.Option(help="What to measure; give it again for another one.")
    ] = ARCHITECTURES,
    restart: options.Restart = False,
) -> None:
    """Measure as a student poster did, and beside it as one should: the same pictures split by group.

    Leaves in --out: poster.json, poster.html and folds/.
    """
    reproduce(load_configuration(config), architecture, data, out, Console(), restart=restart)


if __name__ == "__main__":
    typer.run(main)
