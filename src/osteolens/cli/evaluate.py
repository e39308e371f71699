"""`osteolens evaluate`: a finished model on labelled films of another place."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors, packages_of


@one_line_errors
def evaluate(
    model: Annotated[
        str,
        options.model_argument(
            "A name in weights/, a model folder, an archive (.mar), or the address of a running server such as "
            "http://127.0.0.1:8080/predictions/knee."
        ),
    ],
    table: Annotated[Path, options.labelled_films()],
    out: Annotated[Path, options.out("Folder for report.html, answers.csv and validation.json.")] = Path("evaluation"),
    compare: Annotated[str, typer.Option(help="Another model, named alike, for paired differences.")] = "",
    trained_on: options.TrainedOn = None,
    leave_out: options.LeaveOut = False,
    maps: Annotated[
        int,
        typer.Option(min=0, help="Check the heat maps of at most so many films (some 10 s each); 0 leaves it out."),
    ] = 0,
    half_width: Annotated[
        float, typer.Option(min=0.005, max=0.5, help="Wanted 95 % interval, +- this: how many films would it take?")
    ] = 0.05,
    skip: options.Skip = "",
    key_file: options.KeyFile = None,
    json_output: options.Json = False,
) -> None:
    """Measure a model on labelled films that it has never seen, and write a page of what it is worth there."""
    with packages_of("train", "the evaluation"):
        from rich.console import Console

        from osteolens.reports.validation import JSON_FILE, PAGE_FILE, Request, show, validate_at_site
    request = Request(
        _named(model), table, skip=skip, other=_named(compare), trained_on=trained_on, leave_out=leave_out,
        map_films=maps, half_width=half_width, key_file=key_file,
    )  # fmt: skip
    with options.json_instead(json_output, out / JSON_FILE):
        show(validate_at_site(request, out, Console(stderr=True)), Console())
        print(f"written to {out / PAGE_FILE}")


def _named(model: str) -> str:
    """The text with a name in `weights/` turned into that folder; an address is no path."""
    return model if not model or "/" in model else str(model_folder(model))
