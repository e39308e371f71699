"""`osteolens report`: a page of figures from a run's stored predictions."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors, packages_of


@one_line_errors
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder, as train/cross_validate.py and train/fit.py leave it.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; default report.html in the run. figures/ is made beside it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The run's table or folder of films: shows example films under their maps.")
    ] = None,
) -> None:
    """Write a page of all that is known of a run's model, from its stored predictions."""
    with packages_of("train", "the report"):
        from osteolens.reports.run_page import write_report_page
    typer.echo(f"written to {write_report_page(run, out, data)}")
