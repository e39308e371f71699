"""`osteolens plan`: how many patients a study needs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors, packages_of


@one_line_errors
def plan(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run's folder, whose predictions say what is assumed; default: none."),
    ] = None,
    baseline: Annotated[
        float | None, typer.Option(min=0.5, max=0.999, help="AUROC of age and sex; default: the run's, or 0.88.")
    ] = None,
    image: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="AUROC of the image alone; default: the run's, or 0.70.")
    ] = None,
    correlation: Annotated[
        float | None,
        typer.Option(
            min=-0.95,
            max=0.95,
            help="Correlation of the two scores among the ill and among the well; default: as above.",
        ),
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0.01, max=0.99, help="Share of the patients who are ill; default: as above.")
    ] = None,
    half_width: Annotated[float, typer.Option(min=0.005, max=0.5, help="Wanted 95 % interval, +- this.")] = 0.05,
    power: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Share of such studies that should show the gain.")
    ] = 0.8,
    json_output: options.Json = False,
) -> None:
    """Say how many patients it takes for an interval of a wanted width, and to show a gain over age and sex."""
    with packages_of("train", "the plan"):
        from rich.console import Console

        from osteolens.reports.plan import plan_study, show
    result = plan_study(
        run, baseline=baseline, image=image, correlation=correlation, share=share, half_width=half_width, power=power
    )
    if json_output:
        typer.echo(json.dumps(result.dump(), indent=2))
    else:
        show(result, Console())
