"""The `osteolens` command."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from osteolens import __version__
from osteolens.card import Card, load_card
from osteolens.cli.batch import batch
from osteolens.cli.bench import app as bench_app
from osteolens.console import one_line_errors
from osteolens.errors import OsteoLensError
from osteolens.inference.calibration import describe_parameters
from osteolens.schema import Method

app = typer.Typer(
    name="osteolens",
    help="Read knee X-rays for osteoporosis, explain each answer with Grad-CAM, serve it with TorchServe. "
    "Research software, not a diagnostic device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
card_app = typer.Typer(help="Look at model cards.", no_args_is_help=True)
app.add_typer(card_app, name="card")
app.add_typer(bench_app, name="bench")
app.command()(batch)

WEIGHTS = Path("weights")


def main() -> None:
    """Run the command line."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"osteolens {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
@one_line_errors
def predict(
    files: Annotated[list[Path], typer.Argument(help="Films: JPEG, PNG, TIFF, BMP or WebP.")],
    model: Annotated[
        str, typer.Option(help="Name of a served model; with --local a name in weights/ or a model folder.")
    ] = "efficientnet",
    out: Annotated[Path, typer.Option(help="Folder for one JSON file per film and its overlays.")] = Path("answers"),
    local: Annotated[bool, typer.Option("--local", help="Run the model here, without a server.")] = False,
    server: Annotated[
        str | None, typer.Option(help="Server address; default $OSTEOLENS_URL or http://127.0.0.1:8080.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="TorchServe key file; default $OSTEOLENS_KEY or ./key_file.json.")
    ] = None,
    explain: Annotated[str, typer.Option(help=f"Explanation: {', '.join(Method.__args__)}.")] = "gradcam",
    target: Annotated[
        str | None, typer.Option(help="Class to explain, or `all`; default: the predicted class.")
    ] = None,
    age: Annotated[str | None, typer.Option(help="Years.")] = None,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    weight_kg: Annotated[str | None, typer.Option(help="Kilograms.")] = None,
    height_m: Annotated[str | None, typer.Option(help="Metres.")] = None,
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the overlay.")] = 0.6,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")] = False,
) -> None:
    """Ask about films; print a table, write answers and overlays.

    Exit status: 0 all answered, 2 wrong usage, 3 some films failed, 4 no server at the address.
    """
    from osteolens.cli.predict import local_asker, server_asker
    from osteolens.cli.predict import predict as predict_films

    given = {
        "explain": explain, "target": target, "age": age, "sex": sex, "weight_kg": weight_kg, "height_m": height_m
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    ask = local_asker(_model_folder(model)) if local else server_asker(server, key_file, model)
    status = predict_films(files, ask, options, out, opacity=opacity, json_output=json_output)
    raise typer.Exit(status)


@app.command()
@one_line_errors
def serve(
    port: Annotated[
        int | None,
        typer.Option(
            envvar="OSTEOLENS_PORT", min=0, max=65535, help="0 for free ones; default: the ports of config.properties."
        ),
    ] = None,
    config: Annotated[Path, typer.Option(help="TorchServe configuration.")] = Path("config.properties"),
    model_store: Annotated[Path | None, typer.Option(help="Archives; default: as configured.")] = None,
    web: Annotated[
        str | None,
        typer.Option(
            envvar="OSTEOLENS_WEB", help="Also run the web app, at this address, such as 127.0.0.1:8000 (port 0: any)."
        ),
    ] = None,
) -> None:
    """Verify the archives, start TorchServe, say how to use it, and stop it all on Ctrl-C."""
    from osteolens.serving import hosting
    from osteolens.serving.torchserve import Server

    hosting.run(Server(config, port=port, model_store=model_store, folder=Path.cwd()), web)


@app.command()
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


@app.command()
@one_line_errors
def audit(
    data: Annotated[
        Path,
        typer.Argument(
            help="A table (CSV, Excel, Parquet) with a column file, or a folder: one folder per class, or train/, "
            "val/ and so on with one folder per class each, or pictures without labels."
        ),
    ],
    compare: Annotated[
        Path | None, typer.Option(help="Another table or folder, to find the pictures that both have.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for audit.html and audit.json.")] = Path("audit"),
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
) -> None:
    """Look for leaks, copies, contradicting labels and shortcuts in films for training.

    Finds copies also where they were mirrored, turned, resized or cropped. Exit status: 0 no leak, 1 a patient or a
    film is on two sides of a split, 2 wrong usage.
    """
    try:
        from osteolens.audit.rows import Naming
        from osteolens.audit.run import audit as run_audit
    except ModuleNotFoundError as error:
        raise OsteoLensError(f"the audit needs {error.name}: pip install 'osteolens[train]'") from error
    naming = Naming(label_column, group_column, split_column, group_pattern, part)
    compare_naming = Naming(
        compare_label_column,
        compare_group_column,
        compare_split_column,
        compare_group_pattern,
        compare_part,
        options="--compare-",
    )
    raise typer.Exit(run_audit(data, compare, naming, compare_naming, predictor or [], out))


@card_app.command("show")
@one_line_errors
def card_show(
    model: Annotated[str, typer.Argument(help="A name in weights/ or a model folder.")] = "efficientnet",
    json_output: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show what a model is, what it was trained on and how well it does."""
    card = load_card(_model_folder(model))
    if json_output:
        typer.echo(card.model_dump_json(indent=2))
        return
    console = Console()
    console.print(_facts(card))
    for evaluation in card.evaluations:
        table = Table(
            Column("metric", overflow="fold"),
            "value",
            "95 % interval",
            title=evaluation.subject,
            caption=evaluation.protocol,
        )
        for metric in evaluation.metrics:
            table.add_row(metric.name, f"{metric.value:.3f}", f"{metric.low:.3f} to {metric.high:.3f}")
        console.print(table)


def _facts(card: Card) -> Table:
    table = Table(Column(), Column(overflow="fold"), show_header=False, title=f"{card.name} {card.version}")
    table.add_row("architecture", card.architecture)
    table.add_row("labels", ", ".join(card.labels))
    table.add_row("input", f"{card.preprocess.height} x {card.preprocess.width} pixels")
    table.add_row("T-score", "yes" if card.has_t_score else "no")
    for name, meaning in describe_parameters(card):
        table.add_row(name, meaning)
    table.add_row("trained on", f"{card.data.name} {card.data.source} ({card.data.licence})")
    table.add_row("split", card.data.split)
    table.add_row("films", ", ".join(f"{part} {count}" for part, count in card.data.films.items()))
    table.add_row("use", card.intended_use)
    table.add_row("licence", card.licence)
    table.add_row("card sha256", card.sha256)
    return table


def _model_folder(model: str) -> Path:
    return WEIGHTS / model if "/" not in model and (WEIGHTS / model).is_dir() else Path(model)
