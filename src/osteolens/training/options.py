"""Options that every training command takes."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option(help="Settings, such as train/configs/efficientnet.toml.")]
Data = Annotated[
    Path,
    typer.Option(
        help="A table (CSV, Excel, Parquet) with the columns file (relative to the table) and label, and optionally "
        "group (patient), t_score, age, sex, weight_kg, height_m, source and format_family; or a folder that holds one "
        "folder of films per class."
    ),
]
Out = Annotated[
    Path, typer.Option(help="The run's folder. A run that was stopped there goes on exactly; another is refused.")
]
Name = Annotated[
    str | None, typer.Option(help="The name under which the model will be served; default: that of --out.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Delete the run in --out, and train again.")]
