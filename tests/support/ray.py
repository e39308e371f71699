"""Films on a disk, a call of the engine, and what the reader itself says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from conftest import encoded, knee_like
from pyarrow import parquet

from osteolens.batch import Summary
from osteolens.batch.answerers.ray import run
from osteolens.batch.answerers.ray.actor import FilmReader, Job
from osteolens.batch.answerers.ray.engine import cut
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import load_runtime

MODEL = "efficientnet"
LABELS = ("normal", "osteopenia", "osteoporosis")


def make_films(folder: Path, count: int, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        path.write_bytes(encoded(knee_like(96, 80, seed=number)))
    return paths


def call(inputs: list[Path | str], out: Path, place: Path, **options: Any) -> Summary:
    places = {"store": place / "none", "weights": place / "weights", "exports": place / "build"}
    return run([str(name) for name in inputs], out, progress="quiet", **(places | options))


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of all partitions, as a user reads them."""
    rows: list[dict[str, Any]] = parquet.read_table(out / "results.parquet").to_pylist()
    return rows


def local_answers(films: pa.Table, job: Job) -> Iterator[pa.Table]:
    """What an actor does, in this process."""
    reader = FilmReader(job)
    return (reader(batch) for batch in cut(films, 4))


def check_answers(rows: list[dict[str, Any]], films: list[Path], models: Path) -> None:
    """Every film has exactly one row, with the reader's own answer."""
    folder = models / "weights" / MODEL
    reader = Reader(folder, None)
    reader = Reader(folder, load_runtime(models / "build" / MODEL, reader.card, "onnx-fp32"))
    assert [row["path"] for row in sorted(rows, key=lambda row: row["path"])] == sorted(map(str, films))
    for row in rows:
        answer = reader.answer(Request(Path(row["path"]).read_bytes(), {"explain": "none"}, ""))
        assert (row["status"], row["label"], row["server"]) == ("answered", answer.label, "ray")
        shares = [row[f"probability_{label}"] for label in LABELS]
        np.testing.assert_allclose(shares, [answer.probabilities[label] for label in LABELS], atol=1e-12)
        assert row["card_sha256"] == reader.card.sha256
