"""`osteolens bench`: speed of models and servers. Nothing heavy is imported before a command runs."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from osteolens.console import model_folder, one_line_errors
from osteolens.errors import BenchmarkError, OsteoLensError

QUICK_ROUNDS, QUICK_CALLS, QUICK_SECONDS = 5, 3, 1.0
_FIELDS = {
    "--backend": "backends",
    "--scope": "scopes",
    "--batch": "batches",
    "--concurrency": "concurrencies",
    "--rate": "rates",
}

app = typer.Typer(invoke_without_command=True)


@app.callback()
@one_line_errors
def bench(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A name in weights/ or a model folder; with --server a served name. May be repeated."),
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="Default: all that can run here. May be repeated.", show_default=False)
    ] = None,
    exports: Annotated[
        Path | None, typer.Option(help="Folder of the exported files; default build/NAME. Missing ones are made.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="model: prepared array to outputs; bytes: file to finished JSON. Default: both."),
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Films per call; default 1. May be repeated.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Default: 1, and as many as there are cores. May be repeated.")
    ] = None,
    heat_map: Annotated[
        bool | None, typer.Option("--heat-map/--no-heat-map", help="Default: both, where it makes a difference.")
    ] = None,
    films: Annotated[Path | None, typer.Option(help="Folder of films; default: made-up 1024 x 1024 JPEGs.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Turns of each measurement; default 10.")] = None,
    calls: Annotated[int | None, typer.Option(help="Timed calls in a turn; default 16.")] = None,
    warm_up: Annotated[
        float | None, typer.Option(help="Calls before them; default 3. With --server seconds; default 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed for the order within the rounds.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_ROUNDS} rounds of {QUICK_CALLS} calls, as a check.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for bench.json, .csv, .md and .png.")] = Path("bench"),
    server: Annotated[str | None, typer.Option(help="Measure a running server, such as http://127.0.0.1:8080.")] = None,
    concurrency: Annotated[
        list[int] | None, typer.Option(help="Callers at once; default 1, 8 and 32. May be repeated.")
    ] = None,
    rate: Annotated[list[float] | None, typer.Option(help="Requests a second as well. May be repeated.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a server's turn; default 5.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="TorchServe key file; default $OSTEOLENS_KEY or ./key_file.json.")
    ] = None,
) -> None:
    """Measure how fast models answer; with --server, how much load a running server takes.

    Every backend works in a process of its own, one at a time, in rounds of random order, so that whatever the
    machine does meanwhile meets all of them alike. Exit status: 0 done, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    if context.invoked_subcommand:
        return
    engine = _engine()
    names = list(dict.fromkeys(model or ["efficientnet"]))
    heat_maps = None if heat_map is None else (heat_map,)
    if quick:
        rounds = QUICK_ROUNDS if rounds is None else rounds
        calls = QUICK_CALLS if calls is None and not server else calls
        seconds = QUICK_SECONDS if seconds is None and server else seconds
    shared = {"heat_maps": heat_maps, "rounds": rounds, "warm_up": warm_up, "seed": seed}
    of_models = {"--backend": backend, "--scope": scope, "--batch": batch, "--threads": threads, "--calls": calls}
    of_server = {"--concurrency": concurrency, "--rate": rate, "--seconds": seconds}
    if server:
        _refuse(of_models | {"--exports": exports}, "does not go with --server")
        loads = engine.Loads(**_chosen(shared | of_server))
        raise typer.Exit(engine.benchmark_server(server, names, key_file, loads, films, out))
    _refuse(of_server | {"--key-file": key_file}, "is for a server: give its address with --server")
    settings = engine.Settings(**_chosen(shared | of_models), must_run=backend is not None)
    raise typer.Exit(engine.benchmark_models(list(map(model_folder, names)), exports, settings, films, out))


@app.command()
@one_line_errors
def compare(
    old: Annotated[Path, typer.Argument(help="bench.json of a benchmark.")],
    new: Annotated[Path, typer.Argument(help="bench.json of a later one.")],
) -> None:
    """Show what changed between two benchmarks, in milliseconds with intervals; never as a ratio."""
    from osteolens.bench import compare, results

    compare.show(results.load(old), results.load(new))


def _engine() -> ModuleType:
    """The module that measures; it needs the libraries that serving and drawing need."""
    try:
        return import_module("osteolens.bench.measure")
    except ModuleNotFoundError as error:
        raise OsteoLensError(f"the benchmark needs {error.name}: pip install 'osteolens[bench]'") from error


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """By field name, without those that were left to their defaults; what may be repeated as a tuple."""
    return {
        _FIELDS.get(name, name.removeprefix("--")): tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value is not None
    }


def _refuse(options: dict[str, Any], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise BenchmarkError(f"{option} {why}")
