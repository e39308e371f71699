"""A whole benchmark: measure, print the results, write files; after Ctrl-C with what there is so far."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from osteolens import __version__
from osteolens.bench.chart import draw
from osteolens.bench.films import MAX_FILMS, SIDE, make_films, read_films
from osteolens.bench.machine import machine
from osteolens.bench.models import ModelRun
from osteolens.bench.plan import Settings
from osteolens.bench.results import Protocol, Results, Run, save
from osteolens.bench.server import Loads, measure_server
from osteolens.bench.show import left_out, machine_text, markdown, notes, protocol_text, tables, wide_console, write_csv
from osteolens.card import load_card
from osteolens.client import find_key
from osteolens.console import Status
from osteolens.errors import BenchmarkError
from osteolens.files import write_text


def benchmark_models(
    models: Sequence[Path], exports: Path | None, settings: Settings, films: Path | None, out: Path
) -> int:
    """Measure models on this machine and return the exit status.

    Args:
        models: Model folders; each is a run of its own.
        exports: Folder of the exported files, for a single model; default `build/<name>`.
        settings: What to measure.
        films: Folder of films; default: made-up ones.
        out: Folder for the files.

    Raises:
        BenchmarkError: The options name something that cannot be measured.
        CardError, ExportError: A model folder or an exported file is broken.
    """
    names = [load_card(folder).name for folder in models]
    if len(set(names)) != len(names):
        raise BenchmarkError(f"two models have one name ({', '.join(names)}): measure them one after the other")
    if exports and len(models) > 1:
        raise BenchmarkError(f"--exports is the folder of one model, found {len(models)}: leave it out for build/NAME")
    load_before = os.getloadavg()[0]
    data, described = _choose(films)
    protocol = Protocol(
        films=described,
        film_count=len(data),
        rounds=settings.rounds,
        calls=settings.calls,
        seconds=None,
        warm_up=settings.warm_up,
        seed=settings.seed,
    )
    with TemporaryDirectory(prefix="osteolens-bench-") as temporary:
        paths = [Path(temporary) / f"film-{index}" for index in range(len(data))]
        for path, film in zip(paths, data, strict=True):
            path.write_bytes(film)

        def measure(folder: Path, name: str, progress: Progress) -> Run:
            return ModelRun(folder, exports, settings, paths, Path(temporary) / name, progress).measure()

        measures = [partial(measure, *pair) for pair in zip(models, names, strict=True)]
        return _measure_all(measures, protocol, load_before, out)


def benchmark_server(
    url: str, models: Sequence[str], key_file: Path | None, loads: Loads, films: Path | None, out: Path
) -> int:
    """Measure a running server and return the exit status; see `benchmark_models`.

    Args:
        url: Address of the inference API.
        models: Names under which models are served; each is a run of its own.
        key_file: TorchServe's; default as the client finds the key.
        loads: What to put on it.
        films: Folder of films; default: made-up ones.
        out: Folder for the files.

    Raises:
        BenchmarkError, ClientError: The server cannot be measured.
    """
    load_before = os.getloadavg()[0]
    data, described = _choose(films)
    protocol = Protocol(
        films=described,
        film_count=len(data),
        rounds=loads.rounds,
        calls=None,
        seconds=loads.seconds,
        warm_up=loads.warm_up,
        seed=loads.seed,
    )
    key = find_key(key_file)
    measures = [partial(measure_server, url, model, key, data, loads) for model in models]
    return _measure_all(measures, protocol, load_before, out)


def _choose(folder: Path | None) -> tuple[list[bytes], str]:
    """Films, and what they are."""
    films = read_films(folder, MAX_FILMS) if folder else make_films()
    size = f"about {round(sum(map(len, films)) / len(films) / 1000)} KB"
    if folder:
        return films, f"{len(films)} films of {folder.resolve().name}/, {size} each"
    return films, f"{len(films)} made-up {SIDE} x {SIDE} JPEGs of {size}"


def _measure_all(
    measures: Sequence[Callable[[Progress], Run]], protocol: Protocol, load_before: float, out: Path
) -> int:
    """Measure one run after the other, and report: also when it is stopped, or when a later run fails."""
    runs: list[Run] = []
    stopped = False
    try:
        with _progress() as progress:
            for measure in measures:
                runs.append(measure(progress))
                if not runs[-1].complete:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        stopped = True
    finally:
        if any(run.measurements for run in runs):
            _report(runs, protocol, load_before, out)
    if stopped:
        measured = any(run.measurements for run in runs)
        typer.echo(f"stopped early, {'what was measured is written' if measured else 'nothing was measured'}", err=True)
    return Status.INTERRUPTED if stopped else Status.DONE


def _report(runs: Sequence[Run], protocol: Protocol, load_before: float, out: Path) -> None:
    """Write and show what was measured."""
    results = Results(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        osteolens=__version__,
        command=_command(),
        machine=machine(),
        protocol=protocol,
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
        runs=tuple(runs),
    )
    paths = _write(results, out)
    _show(results)
    for text in results.warnings:
        typer.secho(f"take care: {text}", err=True, fg="yellow")
    typer.echo(f"written: {', '.join(map(str, paths))}", err=True)


def _write(results: Results, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"bench.{kind}" for kind in ("json", "csv", "md", "png")]
    save(results, paths[0])
    write_csv(results, paths[1])
    write_text(paths[2], markdown(results))
    draw(results, paths[3])
    return paths


def _show(results: Results) -> None:
    console = wide_console()
    for table in tables(results, console.width):
        console.print(table)
    load = f"Load average {results.load_before:.2f} before and {results.load_after:.2f} after."
    for text in (
        machine_text(results.machine),
        protocol_text(results.protocol),
        load,
        *left_out(results.runs),
        notes(results),
    ):
        console.print(text, highlight=False, soft_wrap=True)


def _progress() -> Progress:
    """Shown on standard error while somebody looks."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _command() -> str:
    program = Path(sys.argv[0])
    start = [f"python export/{program.name}"] if program.suffix == ".py" else [program.name]
    return f"{start[0]} {shlex.join(sys.argv[1:])}".strip()
