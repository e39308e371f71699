"""The same graph with its heat map behind different servers, measured in turns on this machine.

    python benchmarks/side_by_side.py --python VENV/bin/python

VENV needs `benchmarks/servers/requirements.txt` and this project; without it only OsteoLens, the plain TorchServe and
the work without a server are compared. All servers run at the same time, idle but for the one that is measured (what
idle ones take is part of the answer), in a new random order each round. Ratios are taken within a round. Run it on a
quiet machine.
"""

import json
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
import yaml
from comparison import markdown, summarise
from contenders import CONTENDERS, OURS, ROOT, Contender, Setup
from rich.console import Console
from running import Contestant

from osteolens.bench.films import make_films, read_films
from osteolens.bench.load import TIMEOUT_SECONDS
from osteolens.bench.machine import Watch, machine
from osteolens.bench.statistics import percentiles
from osteolens.console import one_line_errors
from osteolens.errors import BenchmarkError, OsteoLensError
from osteolens.rows import parse
from osteolens.schema import Answer

ARCHIVE = "efficientnet.mar"
WARM_UP_CALLERS, MEMORY_CALLERS = 8, 8
ROUND_WARM_UP = 1.0
IDLE_SECONDS = 10.0
MEMORY_STEP_SECONDS = 5.0
TOLERANCE = 1e-4
MEBIBYTE = 1024**2

Row = dict[str, Any]
Servers = dict[str, Contestant]
console = Console(stderr=True)


@one_line_errors
def main(
    python: Annotated[Path | None, typer.Option(help="interpreter that has the other servers")] = None,
    only: Annotated[list[str] | None, typer.Option(help="names of what is compared, as the tables have them")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="fewer than 5 give no intervals")] = 7,
    seconds: Annotated[float, typer.Option(min=1, help="of each measurement in each round")] = 10,
    warm_up: Annotated[float, typer.Option(min=1, help="seconds for each server before the first round")] = 40,
    memory_calls: Annotated[int, typer.Option(min=0, help="also watch our memory over so many requests")] = 0,
    films: Annotated[Path | None, typer.Option(help="folder of films; default: made-up 1024 x 1024 JPEGs")] = None,
    model_store: Annotated[Path, typer.Option(help=f"holds {ARCHIVE}")] = ROOT / "model_store",
    seed: Annotated[int, typer.Option(help="of the order within the rounds")] = 0,
    out: Annotated[Path, typer.Option(help="folder for side_by_side.json and .md")] = Path("runs/side_by_side"),
) -> None:
    """Compare films a second, latency, memory and cold start."""
    chosen = _chosen(only)
    out.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    bodies = read_films(films) if films else make_films()
    figures: Row = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/side_by_side.py", *sys.argv[1:]]),
        "machine": machine().model_dump(),
        "films": f"{len(bodies)} of {films}" if films else f"{len(bodies)} made-up 1024 x 1024 JPEGs",
        "rounds": rounds, "seconds": seconds, "warm_up": warm_up, "seed": seed,
        "load_before": psutil.getloadavg()[0],
    }  # fmt: skip
    with prepared(bodies, model_store, python) as setup, ExitStack() as stack:
        figures["backend"] = setup.backend
        servers, figures["servers"], figures["left_out"] = start_all(chosen, setup, stack)
        check_answers(chosen, servers, bodies[0])
        for name, server in servers.items():
            console.print(f"warming up {name}")
            server.measure(min(WARM_UP_CALLERS, max(server.levels)), bodies, warm_up, 0)
        watch_idle(servers, figures["servers"])
        figures["measurements"], figures["complete"] = measure_in_turns(servers, bodies, rounds, seconds, seed)
        for name, server in servers.items():
            figures["servers"][name]["pss_mib"] = memory(server)["pss_mib"]
        if memory_calls and OURS in servers:
            figures["memory"] = list(watch_memory(servers[OURS], bodies, memory_calls))
    figures["load_after"] = psutil.getloadavg()[0]
    figures["summary"] = summarise(figures["measurements"])
    (out / "side_by_side.json").write_text(json.dumps(figures, indent=1) + "\n")
    (out / "side_by_side.md").write_text(text := markdown(figures))
    print(text)


def _chosen(only: list[str] | None) -> list[Contender]:
    names = [contender.name for contender in CONTENDERS]
    unknown = [name for name in only or () if name not in names]
    if unknown:
        raise BenchmarkError(f"nothing is called {unknown[0]!r}; for example --only {OURS!r}, or any of {names[1:]}")
    return [contender for contender in CONTENDERS if not only or contender.name in only]


@contextmanager
def prepared(bodies: list[bytes], model_store: Path, python: Path | None) -> Iterator[Setup]:
    """A temporary folder with our archive alone in a store, the archive's content, and the films."""
    with tempfile.TemporaryDirectory(prefix="side-by-side-") as name:
        work = Path(name)
        for folder in ("store", "archive", "films"):
            (work / folder).mkdir()
        for index, body in enumerate(bodies):
            (work / "films" / f"{index:03}").write_bytes(body)
        for file in (ARCHIVE, f"{ARCHIVE}.sha256"):
            if not (model_store / file).is_file():
                raise BenchmarkError(f"no {model_store / file}: run `make archives`")
            shutil.copy(model_store / file, work / "store")
        with zipfile.ZipFile(model_store / ARCHIVE) as archive:
            archive.extractall(work / "archive")
        backend = yaml.safe_load((work / "archive" / "model-config.yaml").read_text())["handler"]["backend"]
        # The interpreter of a virtual environment is a link, which must not be followed.
        yield Setup(work, work / "archive", backend, work / "store", bodies[0], python and python.absolute())


def start_all(
    chosen: list[Contender], setup: Setup, stack: ExitStack
) -> tuple[Servers, dict[str, Row], dict[str, str]]:
    """Start one after another; what cannot be had is left out, with the reason."""
    servers: Servers = {}
    facts: dict[str, Row] = {}
    left_out: dict[str, str] = {}
    for contender in chosen:
        console.print(f"starting {contender.name}")
        begun = time.perf_counter()
        try:
            server = stack.enter_context(contender.open(setup))
            server.answer(setup.film)
        except (OsteoLensError, OSError) as error:
            left_out[contender.name] = str(error)
            console.print(f"  left out: {error}", highlight=False)
            continue
        servers[contender.name] = server
        facts[contender.name] = {"settings": contender.settings, "cold_start_s": time.perf_counter() - begun}
    return servers, facts, left_out


def check_answers(chosen: list[Contender], servers: Servers, film: bytes) -> None:
    """Make sure that all that claim the same work give the same answer, heat map included.

    Raises:
        BenchmarkError: One does not.
    """
    same = [contender.name for contender in chosen if contender.same_work and contender.name in servers]
    answers = {name: parse(servers[name].answer(film)) for name in same}
    for name, row in answers.items():
        if not isinstance(row, Answer) or not row.explanations:
            raise BenchmarkError(f"{name} gives no answer with a heat map: {str(row)[:200]}")
        other = answers[same[0]]
        differences = [abs(row.probabilities[label] - value) for label, value in other.probabilities.items()]
        if max(differences) > TOLERANCE or row.film != other.film:
            raise BenchmarkError(f"{name} says {row.probabilities}, {same[0]} says {other.probabilities}")


def watch_idle(servers: Servers, facts: Mapping[str, Row]) -> None:
    """Note what each server computes while nobody asks anything, in percent of a core."""
    console.print("watching them idle")
    time.sleep(2)
    before = {name: _cpu_seconds(server) for name, server in servers.items()}
    time.sleep(IDLE_SECONDS)
    for name, server in servers.items():
        facts[name]["idle_percent"] = max(0.0, 100 * (_cpu_seconds(server) - before[name]) / IDLE_SECONDS)


def _cpu_seconds(server: Contestant) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in server.processes()]
    return sum(process.user + process.system for process in times)


def measure_in_turns(
    servers: Servers, bodies: list[bytes], rounds: int, seconds: float, seed: int
) -> tuple[list[Row], bool]:
    """Every server at every level once a round, in an order of its own each round; Ctrl-C keeps the whole rounds."""
    turns = [(name, level) for name, server in servers.items() for level in server.levels]
    order, done = random.Random(seed), list[Row]()
    for index in range(rounds):
        console.print(f"round {index + 1} of {rounds}: {len(turns)} measurements of {seconds:g} s")
        try:
            done += [
                {"round": index} | measured(name, level, servers, bodies, seconds)
                for name, level in order.sample(turns, len(turns))
            ]
        except KeyboardInterrupt:
            if not done:
                raise
            return done, False
    return done, True


def measured(name: str, level: int, servers: Servers, bodies: list[bytes], seconds: float) -> Row:
    """One server at one level."""
    watch = Watch([pid for server in servers.values() for pid in server.processes()])
    load = servers[name].measure(level, bodies, seconds, ROUND_WARM_UP)
    # One that answered nothing stays in: with no film a second, and a latency that was at least this.
    p50, p95, p99 = percentiles(load.latencies_ms or [TIMEOUT_SECONDS * 1000])
    errors = {str(status): count for status, count in load.statuses.items() if status != 200} | load.failures
    return {
        "server": name, "level": level, "films_per_second": load.films_per_second, "p50_ms": p50, "p95_ms": p95,
        "p99_ms": p99, "answers": len(load.latencies_ms), "errors": errors, "others_percent": watch.others_percent(),
    }  # fmt: skip


def memory(server: Contestant) -> Row:
    """Proportional memory of a server's whole process tree and of each process, in MiB."""
    each = [psutil.Process(pid).memory_full_info().pss / MEBIBYTE for pid in server.processes()]
    return {"pss_mib": sum(each), "each_mib": sorted((round(value) for value in each), reverse=True)}


def watch_memory(server: Contestant, bodies: list[bytes], calls: int) -> Iterator[Row]:
    """Memory before, during and after many requests, eight at a time."""
    console.print(f"watching memory over {calls} requests")
    answered = 0
    yield {"calls": 0} | memory(server)
    while answered < calls:
        answered += len(server.measure(MEMORY_CALLERS, bodies, MEMORY_STEP_SECONDS, 0).latencies_ms)
        yield {"calls": answered} | memory(server)


if __name__ == "__main__":
    typer.run(main)
