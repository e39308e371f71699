"""`osteolens audit`: a data set checked before training on it."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors, packages_of
from osteolens.places import shipped


@one_line_errors
def audit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A table (CSV, Excel, Parquet) with a column file, or a folder: one folder per class, or train/, "
            "val/ and so on with one folder per class each, or pictures without labels.",
        ),
    ],
    compare: Annotated[
        Path | None, typer.Option(help="Another table or folder, to find the pictures that both have.")
    ] = None,
    out: Annotated[Path, options.out("Folder for audit.html and audit.json.")] = Path("audit"),
    label_column: Annotated[str | None, typer.Option(help='Labels; default label, "" for none.')] = None,
    group_column: Annotated[str | None, typer.Option(help='Patients; default group, "" for none.')] = None,
    split_column: Annotated[
        str | None, typer.Option(help='Sides of a split; default split or part, "" for none.')
    ] = None,
    group_pattern: Annotated[
        str | None, typer.Option(help=r"Patients from file names: a regular expression, such as '(\d+)[LR]'.")
    ] = None,
    part: Annotated[str, typer.Option(help="The side of a split that DATA is, such as train.")] = "",
    compare_label_column: Annotated[str | None, typer.Option(help="The same for --compare.")] = None,
    compare_group_column: Annotated[str | None, typer.Option(help="The same for --compare.")] = None,
    compare_split_column: Annotated[str | None, typer.Option(help="The same for --compare.")] = None,
    compare_group_pattern: Annotated[str | None, typer.Option(help="The same for --compare.")] = None,
    compare_part: Annotated[str, typer.Option(help="The side of a split that --compare is, such as test.")] = "",
    predictor: Annotated[
        list[str] | None,
        typer.Option(help="One more column to test on the label, beside age, sex, weight and height; may be repeated."),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A reader of persons (train/knee_people.py), to compare the table's sex and age with the pictures; "
            "default: weights/knee_people, where it is.",
        ),
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Look for leaks, copies, contradicting labels and shortcuts in films for training.

    Finds copies also where they were mirrored, turned, resized or cropped. Exit status: 0 no leak, 2 wrong usage,
    5 a patient or a film is on two sides of a split.
    """
    default = shipped() / "weights" / "knee_people"
    with packages_of("train", "the audit"):
        from osteolens.audit.rows import Naming
        from osteolens.audit.run import JSON_FILE
        from osteolens.audit.run import audit as run_audit
    naming = Naming(label_column, group_column, split_column, group_pattern, part)
    compare_naming = Naming(
        compare_label_column,
        compare_group_column,
        compare_split_column,
        compare_group_pattern,
        compare_part,
        options="--compare-",
    )
    with options.json_instead(json_output, out / JSON_FILE):
        status = run_audit(
            data,
            compare,
            naming,
            compare_naming,
            predictor or [],
            out,
            people or (default if default.is_dir() else None),
        )
    raise typer.Exit(status)
