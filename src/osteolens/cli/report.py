"""`osteolens report`: a page of figures from a run's stored predictions."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors, packages_of


@one_line_errors
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, as `train` and `crossval` leave it.")],
    out: Annotated[
        Path | None, options.out("The page; default report.html in the run. figures/ is made beside it.")
    ] = None,
    data: Annotated[
        Path | None, options.data("The run's table or folder of films: shows example films under their maps.")
    ] = None,
) -> None:
    """Write a page of all that is known of a run's model, from its stored predictions."""
    with packages_of("train", "the report"):
        from osteolens.reports.run_page import write_report_page
    typer.echo(f"written to {write_report_page(run, out, data)}")
