"""`osteolens batch`: any number of films. Nothing heavy is imported before the command runs."""

# ruff: noqa: ARG001 - what belongs to one engine is taken from the context by its name
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from osteolens.cli import options
from osteolens.console import MODEL_STORE, Status, one_line_errors, packages_of
from osteolens.errors import OsteoLensError, ServerUnreachable

if TYPE_CHECKING:
    from osteolens.batch.job import Summary

# Options of one engine. With the other they are refused: who gives --wait to Ray expects something that cannot happen.
_OF_ENGINE = {
    "http": ("server", "key_file", "max_in_flight", "connect_timeout", "read_timeout", "total_timeout", "wait"),
    "ray": ("store",),
}


def _seconds(what: str, *, least: float = 0.001) -> Any:
    return typer.Option(min=least, help=f"Seconds to wait for {what}.")


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Files, folders, globs, tables (CSV, Excel, Parquet) with a column file (and age, sex, weight_kg, "
        "height_m, id), or - for paths on standard input; on Ray also addresses such as s3://bucket/knees.",
    ),
]
Models = Annotated[list[str] | None, options.model("Name of a model; may be repeated. Default: efficientnet.")]
Engine = Annotated[
    Literal["http", "ray"],
    typer.Option(
        help="http: a server answers. ray: all cores of a Ray cluster ($RAY_ADDRESS says which), without a server."
    ),
]
Explain = Annotated[
    str | None, typer.Option("--explain", "-e", help="Explanation. Default: gradcam with --overlays, else none.")
]
Null = Annotated[bool, typer.Option("--null", "-0", help="Paths on standard input end in a zero byte.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what an earlier batch did in this folder.")]
AcceptNewModel = Annotated[
    bool,
    typer.Option(
        "--accept-new-model",
        help="Go on with another version of a model, and answer again the films that the earlier one answered.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Events = Annotated[
    bool, typer.Option("--json", help="A line of JSON per event on standard output, for machines, and no bar.")
]
Log = Annotated[Literal["text", "json"], typer.Option(hidden=True, help="The earlier spelling of --json.")]
Overlays = Annotated[bool, typer.Option("--overlays", help="Write each film under its heat map.")]
Opacity = Annotated[float, typer.Option(min=0, max=1, help="Opacity of the overlays' maximum.")]
ColourMap = Annotated[str, typer.Option(help="Colours of the overlays: inferno, magma, viridis or turbo.")]
MaxInFlight = Annotated[
    int,
    typer.Option(min=1, help="Most requests under way per model; how many there are follows the server."),
]
Store = Annotated[Path, typer.Option("--model-store", help="Folder with the models' archives (--engine ray).")]


@one_line_errors
def batch(
    context: typer.Context,
    inputs: Inputs,
    out: Annotated[Path, options.out("Folder for the results; the same command again goes on in it.")],
    model: Models = None,
    engine: Engine = "http",
    explain: Explain = None,
    force: options.Force = False,
    null: Null = False,
    fresh: Fresh = False,
    accept_new_model: AcceptNewModel = False,
    quiet: Quiet = False,
    json_output: Events = False,
    log: Log = "text",
    overlays: Overlays = False,
    opacity: Opacity = 0.6,
    colour_map: ColourMap = "inferno",
    server: options.Server = None,
    key_file: options.KeyFile = None,
    max_in_flight: MaxInFlight = 32,
    connect_timeout: Annotated[float, _seconds("a connection")] = 5,
    read_timeout: Annotated[float, _seconds("the next bytes of an answer")] = 60,
    total_timeout: Annotated[float, _seconds("a whole answer")] = 120,
    wait: Annotated[float, _seconds("a server that does not answer", least=0)] = 60,
    store: Store = MODEL_STORE,
) -> None:
    """Answer any number of films; write tables, a page and overlays.

    Writes results.parquet/ and results.csv (a row per film and model), run.json, report.html and, with --overlays,
    overlays/. Nothing is lost: after a stop, a failure or a kill the same command goes on where it was,
    and asks again only about films that failed or changed.

    Exit status: 0 all answered, 2 wrong usage or something to fix first, 3 some films failed, 4 no server
    at the address, 130 stopped.
    """
    _refuse_options_of_the_other_engine(context, engine)
    settings: dict[str, Any] = {
        "models": model or ["efficientnet"], "null": null, "fresh": fresh, "accept_new_model": accept_new_model,
        "explain": explain, "force": force, "overlays": overlays, "opacity": opacity, "colour_map": colour_map,
        "progress": "json" if json_output or log == "json" else "quiet" if quiet else "bar",
        **{name: context.params[name] for name in _OF_ENGINE[engine]},
    }  # fmt: skip
    with packages_of("scale" if engine == "ray" else "batch", "a batch"):
        # The other engine's packages need not be installed.
        run = import_module(f"osteolens.batch.answerers.{engine}").run
        status = run_command(partial(run, inputs, out, **settings), out)
    raise typer.Exit(status)


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


def _refuse_options_of_the_other_engine(context: typer.Context, engine: str) -> None:
    (other,) = _OF_ENGINE.keys() - {engine}
    for parameter in context.command.params:
        # A value that equals the default may have been typed: where it comes from tells.
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in _OF_ENGINE[other] and source and source.name == "COMMANDLINE":
            raise OsteoLensError(f"{parameter.opts[0]} is for --engine {other}, but the engine is {engine}")
