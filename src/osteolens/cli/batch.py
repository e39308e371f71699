"""`osteolens batch`: what can be asked for. Nothing heavy is imported before the command runs."""

# ruff: noqa: ARG001 - what belongs to one engine is taken from the context by its name
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from osteolens.client import DEFAULT_MODEL
from osteolens.console import Status, one_line_errors
from osteolens.errors import OsteoLensError, ServerUnreachable

if TYPE_CHECKING:
    from osteolens.batch.job import Summary

_SERVER, _OVERLAYS, _RAY = "Server and patience (http)", "Overlays", "Cluster (ray)"
_OF_ENGINE = {
    "http": (
        "server", "key_file", "max_in_flight", "connect_timeout", "read_timeout", "total_timeout", "wait",
    ),
    "ray": ("store",),
}  # fmt: skip


@one_line_errors
def batch(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, tables (CSV, Excel, Parquet) with a column file (and age, sex, weight_kg, "
            "height_m, id), or - for paths on standard input; on Ray also addresses such as s3://bucket/knees.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results; the same command again goes on in it.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help=f"Name of a model; may be repeated. Default: {DEFAULT_MODEL}."),
    ] = None,
    engine: Annotated[
        Literal["http", "ray"],
        typer.Option(help="http: ask a server. ray: answer on all cores of a Ray cluster, without a server."),
    ] = "http",
    explain: Annotated[
        str | None, typer.Option(help="Explanation to ask for. Default: gradcam with --overlays, else none.")
    ] = None,
    null: Annotated[bool, typer.Option("--null", "-0", help="Paths on standard input end in a zero byte.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier batch did in this folder.")] = False,
    accept_new_model: Annotated[
        bool,
        typer.Option(
            "--accept-new-model",
            help="Go on with another version of a model, and ask again about the films that the earlier one answered.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    log: Annotated[
        Literal["text", "json"], typer.Option(help="json: a line of JSON per event on standard output, for machines.")
    ] = "text",
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Write each film under its heat map.", rich_help_panel=_OVERLAYS)
    ] = False,
    opacity: Annotated[
        float, typer.Option(min=0, max=1, help="Opacity of the map's maximum.", rich_help_panel=_OVERLAYS)
    ] = 0.6,
    colour_map: Annotated[
        str, typer.Option(help="inferno, magma, viridis or turbo.", rich_help_panel=_OVERLAYS)
    ] = "inferno",
    server: Annotated[
        str | None,
        typer.Option(help="Address. Default: $OSTEOLENS_URL or http://127.0.0.1:8080.", rich_help_panel=_SERVER),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="TorchServe key file. Default: $OSTEOLENS_KEY or ./key_file.json.", rich_help_panel=_SERVER),
    ] = None,
    max_in_flight: Annotated[
        int,
        typer.Option(
            min=1,
            help="Most requests under way per model; how many there are follows the server.",
            rich_help_panel=_SERVER,
        ),
    ] = 32,
    connect_timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait for a connection.", rich_help_panel=_SERVER)
    ] = 5,
    read_timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait for the next bytes of an answer.", rich_help_panel=_SERVER)
    ] = 60,
    total_timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait for a whole answer.", rich_help_panel=_SERVER)
    ] = 120,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a server that does not answer.", rich_help_panel=_SERVER)
    ] = 60,
    store: Annotated[
        Path, typer.Option("--model-store", help="Folder with the models' archives.", rich_help_panel=_RAY)
    ] = Path("model_store"),
) -> None:
    """Answer any number of films; write tables, a page and overlays.

    Writes results.parquet/ and results.csv (a row per film and model), run.json, report.html and, with --overlays,
    overlays/. Nothing is lost: after a stop, a failure or a kill the same command goes on where it was,
    and asks again only about films that failed or changed.

    Exit status: 0 all answered, 2 wrong usage or something to fix first, 3 some films failed, 4 no server
    at the address, 130 stopped.
    """
    other = "ray" if engine == "http" else "http"
    for name in _OF_ENGINE[other]:
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            raise OsteoLensError(f"{_flag(context, name)} is for --engine {other}, but the engine is {engine}")
    options: dict[str, Any] = {
        "models": model or [DEFAULT_MODEL], "null": null, "fresh": fresh, "accept_new_model": accept_new_model,
        "explain": explain, "overlays": overlays, "opacity": opacity, "colour_map": colour_map,
        "progress": "json" if log == "json" else "quiet" if quiet else "bar",
        **{name: context.params[name] for name in _OF_ENGINE[engine]},
    }  # fmt: skip
    try:
        run = import_module(f"osteolens.batch.answerers.{engine}").run
        raise typer.Exit(run_command(partial(run, inputs, out, **options), out))
    except ModuleNotFoundError as error:
        extra = "scale" if engine == "ray" else "batch"
        raise OsteoLensError(f"a batch needs {error.name}: pip install 'osteolens[{extra}]'") from error


def run_command(run: Callable[[], "Summary"], out: Path) -> int:
    """Run a batch, say on standard error how it ended, and return the exit status.

    Args:
        run: Runs the batch.
        out: Its output folder.

    Raises:
        OsteoLensError: What must be fixed before the batch can go on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped stops as on Ctrl-C
    try:
        summary = run()
    except ServerUnreachable as error:
        print(f"error: {error}; the same command goes on", file=sys.stderr)
        return Status.UNREACHABLE
    except KeyboardInterrupt:
        print(f"stopped; what is known is in {out}, and the same command goes on", file=sys.stderr)
        return Status.INTERRUPTED
    totals = summary.totals
    failed = totals.refused + totals.failed
    print(
        f"{totals.answered:,} answered, {failed:,} failed; {summary.answers:,} answers in {summary.seconds:.1f} s; "
        f"see {out}/report.html",
        file=sys.stderr,
    )
    return summary.status


def _flag(context: typer.Context, name: str) -> str:
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
