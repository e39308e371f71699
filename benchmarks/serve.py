"""How fast the server answers with a heat map, and how much memory its workers take.

    python benchmarks/serve.py                          starts a server of its own
    python benchmarks/serve.py --url http://127.0.0.1:8080 --key-file key_file.json

Prints the machine and a Markdown table. Run it on a quiet machine: it also says how busy the machine was.
"""

import io
import itertools
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import psutil
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from osteolens.console import one_line_errors
from osteolens.serving import Server, read_keys

ROOT = Path(__file__).resolve().parents[1]
SIDE = 1024
CONCURRENCIES = (1, 8, 32)
WARM_UP = 100
"""Requests before anything is timed: TorchServe's Java half compiles itself while it works."""
MEMORY_POINTS = 8
MEBIBYTE = 1024**2

Row = dict[str, Any]
console = Console()


@one_line_errors
def main(
    url: Annotated[str | None, typer.Option(help="a running server; default: start one")] = None,
    key_file: Annotated[Path, typer.Option(help="with --url: TorchServe's key file")] = Path("key_file.json"),
    model: Annotated[str, typer.Option(help="the name it is served under")] = "efficientnet",
    model_store: Annotated[Path | None, typer.Option(help="of the server that is started")] = None,
    films: Annotated[Path | None, typer.Option(help="folder of films; default: made-up 1024 x 1024 JPEGs")] = None,
    calls: Annotated[int, typer.Option(min=10, help="timed requests per concurrency")] = 300,
    memory_calls: Annotated[
        int, typer.Option(min=0, help="requests over which memory is watched; 0: not at all")
    ] = 2000,
    out: Annotated[Path | None, typer.Option(help="also write the figures as JSON")] = None,
) -> None:
    """Measure cold start, latency, films per second and worker memory."""
    pictures = read_films(films) if films else make_films()
    figures: Row = {
        "machine": machine(),
        "films": str(films or f"made-up {SIDE} x {SIDE} JPEG"),
        "count": len(pictures),
    }
    with opened(url, key_file, model, model_store, pictures[0]) as (client, address, server, cold_start):
        figures["cold_start_s"] = cold_start
        measure(client, address, pictures, 1, WARM_UP)
        figures["latency"] = [measure(client, address, pictures, level, calls) for level in CONCURRENCIES]
        if server and memory_calls:
            figures["memory"] = watch_memory(client, address, pictures, memory_calls, server)
    console.print(*markdown(figures), sep="\n", soft_wrap=True, highlight=False)
    if out:
        out.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def opened(
    url: str | None, key_file: Path, model: str, model_store: Path | None, film: bytes
) -> Iterator[tuple[httpx.Client, str, Server | None, float | None]]:
    """A client, the address to post to, and for a server of our own also the server and seconds to its first answer."""
    path = f"/predictions/{model}"
    if url:
        with connected(url, read_keys(key_file)["inference"]["key"]) as client:
            yield client, path, None, None
        return
    started = time.perf_counter()
    with (
        Server(ROOT / "config.properties", port=0, model_store=model_store) as server,
        connected(server.url, server.inference_key or "") as client,
    ):
        client.post(path, content=film).raise_for_status()
        yield client, path, server, time.perf_counter() - started


def connected(url: str, key: str) -> httpx.Client:
    """A client that may have as many connections as there are callers."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
    limits = httpx.Limits(max_connections=max(CONCURRENCIES))
    return httpx.Client(base_url=url, headers=headers, timeout=120, limits=limits)


def make_films(count: int = 16) -> list[bytes]:
    """Smooth grey pictures with some grain, as large in bytes as real films: JPEG, SIDE x SIDE."""
    films = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 256, (12, 12), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        grain = random.normal(0, 4, (SIDE, SIDE))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        films.append(buffer.getvalue())
    return films


def read_films(folder: Path) -> list[bytes]:
    """All files of a folder."""
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]


def measure(client: httpx.Client, address: str, films: Sequence[bytes], concurrency: int, calls: int) -> Row:
    """Latency as a client sees it, in milliseconds, and films per second."""

    def call(film: bytes) -> float:
        started = time.perf_counter()
        client.post(address, content=film).raise_for_status()
        return (time.perf_counter() - started) * 1000

    load, started = os.getloadavg()[0], time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        times = list(pool.map(call, itertools.islice(itertools.cycle(films), calls)))
    seconds = time.perf_counter() - started
    p50, p95 = np.percentile(times, (50, 95))
    return {
        "concurrency": concurrency, "calls": calls, "p50_ms": round(p50, 1), "p95_ms": round(p95, 1),
        "films_per_s": round(calls / seconds, 1), "load_before": round(load, 2),
    }  # fmt: skip


def watch_memory(client: httpx.Client, address: str, films: Sequence[bytes], calls: int, server: Server) -> list[Row]:
    """Memory of each worker before, during and after many calls, eight at a time."""
    step = max(1, calls // MEMORY_POINTS)
    rows = [memory(server, 0)]
    for done in track(range(step, calls + 1, step), description="memory", console=console, transient=True):
        measure(client, address, films, 8, step)
        rows.append(memory(server, done))
    return rows


def memory(server: Server, calls: int) -> Row:
    """Resident and proportional memory of each worker, and resident memory of Java, in MiB."""
    row: Row = {"calls": calls, "rss": [], "pss": [], "java_rss": 0}
    for process in map(psutil.Process, sorted(server.processes())):
        command = process.cmdline()
        if any(part.endswith("model_service_worker.py") for part in command):
            used = process.memory_full_info()
            row["rss"].append(round(used.rss / MEBIBYTE))
            row["pss"].append(round(used.pss / MEBIBYTE))
        elif command[0].endswith("java"):
            row["java_rss"] = round(process.memory_info().rss / MEBIBYTE)
    return row


def machine() -> Row:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in _cpu_info() if line.startswith("model name")), platform.machine()
    )
    packages = {name: version(name) for name in ("torch", "torchserve", "timm", "grad-cam")}
    gigabytes = round(psutil.virtual_memory().total / 1e9)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": gigabytes,
        "python": platform.python_version(),
    } | packages


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def markdown(figures: Row) -> list[str]:
    """The figures as text."""
    lines = [", ".join(f"{name} {value}" for name, value in figures["machine"].items())]
    lines += [f"Films: {figures['count']}, {figures['films']}; every answer with Grad-CAM.", ""]
    if figures["cold_start_s"] is not None:
        lines += [f"Cold start to the first answer: {figures['cold_start_s']:.1f} s", ""]
    lines += ["| concurrency | median | 95th percentile | films/s | load before |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['concurrency']} | {row['p50_ms']:.0f} ms | {row['p95_ms']:.0f} ms | {row['films_per_s']} "
        f"| {row['load_before']} |"
        for row in figures["latency"]
    ]
    if "memory" in figures:
        lines += ["", "| calls | worker RSS (MiB) | worker PSS (MiB) | Java RSS (MiB) |", "|---|---|---|---|"]
        lines += [
            f"| {row['calls']} | {_listed(row['rss'])} | {_listed(row['pss'])} | {row['java_rss']} |"
            for row in figures["memory"]
        ]
    return lines


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


if __name__ == "__main__":
    typer.run(main)
