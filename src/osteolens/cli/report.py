"""`osteolens report`: a page of figures from a run's stored predictions."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.errors import OsteoLensError


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
    try:
        from osteolens.reports.run_page import write_report_page
    except ModuleNotFoundError as error:
        raise OsteoLensError(f"the report needs {error.name}: pip install 'osteolens[train]'") from error
    typer.echo(f"written to {write_report_page(run, out, data)}")
