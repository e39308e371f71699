"""`osteolens bench`: speed of models and servers. Nothing heavy is imported before a command runs."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors, packages_of
from osteolens.errors import BenchmarkError

QUICK_ROUNDS, QUICK_CALLS, QUICK_SECONDS = 5, 3, 1.0
_FIELDS = {
    "--backend": "backends",
    "--scope": "scopes",
    "--batch": "batches",
    "--concurrency": "concurrencies",
    "--rate": "rates",
}

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


def _more(what: str) -> Any:
    return typer.Option(help=f"{what} May be repeated.")


Models = Annotated[
    list[str] | None,
    options.model("A name in weights/ or a model folder; with --server a served name. May be repeated."),
]
Exports = Annotated[
    Path | None, typer.Option(help="Folder of the exported files; default build/NAME. Missing ones are made.")
]
Scope = Annotated[
    list[str] | None, _more("model: prepared array to outputs; bytes: file to finished JSON. Default: both.")
]
HeatMap = Annotated[
    bool | None, typer.Option("--heat-map/--no-heat-map", help="Default: both, where it makes a difference.")
]
Data = Annotated[Path | None, options.data("Folder of films; default: made-up 1024 x 1024 JPEGs.")]
Films = Annotated[Path | None, typer.Option("--films", hidden=True, help="The earlier spelling of --data.")]
WarmUp = Annotated[float | None, typer.Option(help="Calls before them; default 3. With --server seconds; default 1.")]
Quick = Annotated[bool, typer.Option("--quick", help=f"{QUICK_ROUNDS} rounds of {QUICK_CALLS} calls, as a check.")]
Server = Annotated[
    str | None, typer.Option("--server", "-s", help="Measure a running server, such as http://127.0.0.1:8080.")
]


@app.callback()
@one_line_errors
def bench(
    context: typer.Context,
    model: Models = None,
    backend: Annotated[list[str] | None, _more("Default: all that can run here.")] = None,
    exports: Exports = None,
    scope: Scope = None,
    batch: Annotated[list[int] | None, _more("Films per call; default 1.")] = None,
    threads: Annotated[list[int] | None, _more("Default: 1, and as many as there are cores.")] = None,
    heat_map: HeatMap = None,
    data: Data = None,
    films: Films = None,
    rounds: Annotated[int | None, typer.Option(help="Turns of each measurement; default 10.")] = None,
    calls: Annotated[int | None, typer.Option(help="Timed calls in a turn; default 16.")] = None,
    warm_up: WarmUp = None,
    seed: Annotated[int, typer.Option(help="Random seed for the order within the rounds.")] = 0,
    quick: Quick = False,
    out: Annotated[Path, options.out("Folder for bench.json, .csv, .md and .png.")] = Path("bench"),
    json_output: options.Json = False,
    server: Server = None,
    concurrency: Annotated[list[int] | None, _more("Callers at once; default 1, 8 and 32.")] = None,
    rate: Annotated[list[float] | None, _more("Requests a second as well.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a server's turn; default 5.")] = None,
    key_file: options.KeyFile = None,
) -> None:
    """Measure how fast models answer; with --server, how much load a running server takes.

    Every backend works in a process of its own, one at a time, in rounds of random order, so that whatever the
    machine does meanwhile meets all of them alike. Exit status: 0 done, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    if context.invoked_subcommand:
        return
    with packages_of("bench", "the benchmark"):
        from osteolens.bench import measure
        from osteolens.bench.plan import Settings
        from osteolens.bench.server import Loads
    names = list(dict.fromkeys(model or ["efficientnet"]))
    heat_maps = None if heat_map is None else (heat_map,)
    # None is what nobody asked for: --quick and --server change that, and nothing that was typed.
    if quick:
        rounds = QUICK_ROUNDS if rounds is None else rounds
        calls = QUICK_CALLS if calls is None and not server else calls
        seconds = QUICK_SECONDS if seconds is None and server else seconds
    shared = {"heat_maps": heat_maps, "rounds": rounds, "warm_up": warm_up, "seed": seed}
    of_models = {"--backend": backend, "--scope": scope, "--batch": batch, "--threads": threads, "--calls": calls}
    of_server = {"--concurrency": concurrency, "--rate": rate, "--seconds": seconds}
    if server:
        _refuse(of_models | {"--exports": exports}, "does not go with --server")
        run = partial(measure.benchmark_server, server, names, key_file, Loads(**_chosen(shared | of_server)))
    else:
        _refuse(of_server | {"--key-file": key_file}, "is for a server: give its address with --server")
        settings = Settings(**_chosen(shared | of_models), must_run=backend is not None)
        run = partial(measure.benchmark_models, [model_folder(name) for name in names], exports, settings)
    with options.json_instead(json_output, out / "bench.json"):
        status = run(data or films, out)
    raise typer.Exit(status)


@app.command()
@one_line_errors
def compare(
    old: Annotated[Path, typer.Argument(help="bench.json of a benchmark.")],
    new: Annotated[Path, typer.Argument(help="bench.json of a later one.")],
) -> None:
    """Show what changed between two benchmarks, in milliseconds with intervals; never as a ratio."""
    from osteolens.bench import compare, results

    compare.show(results.load(old), results.load(new))


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Options by the name of their field, without those left to their defaults; what may be repeated is a tuple."""
    return {
        _FIELDS.get(name, name.removeprefix("--")): tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value is not None
    }


def _refuse(options: dict[str, Any], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise BenchmarkError(f"{option} {why}")
