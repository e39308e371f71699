"""The commands that speak with a running server, with either engine."""

import csv
import json
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from typer.testing import CliRunner, Result

from osteolens.cli.root import app
from osteolens.labels import LABELS
from osteolens.serving.torchserve import Server

pytestmark = pytest.mark.slow
FILMS = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled films of as many patients."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        (folder / f"{number}.png").write_bytes(encoded(knee_like(96, 80, seed=number)))
    rows = (f"{number}.png,{LABELS[number % 3]},patient-{number}\n" for number in range(FILMS))
    (folder / "films.csv").write_text("file,label,group\n" + "".join(rows))
    return folder / "films.csv"


def run(server: Server, *arguments: str | Path) -> Result:
    done = CliRunner().invoke(app, [*map(str, arguments), "--key-file", str(server.key_file)])
    assert done.exit_code == 0, done.output
    return done


def test_a_batch_answers_every_film(server: Server, table: Path, tmp_path: Path) -> None:
    run(server, "batch", table, "--server", server.url, "--model", "efficientnet", "--out", tmp_path)
    with (tmp_path / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["answered"] * FILMS


def test_a_benchmark_measures_it(server: Server, table: Path, tmp_path: Path) -> None:
    load = ("--concurrency", "2", "--seconds", "1", "--rounds", "1", "--warm-up", "0")
    run(server, "bench", "--server", server.url, "-m", "efficientnet", "-d", table.parent, "--out", tmp_path, *load)
    (measured,) = json.loads((tmp_path / "bench.json").read_text())["runs"]
    assert measured["complete"]


def test_it_is_evaluated_by_its_address(server: Server, table: Path, tmp_path: Path) -> None:
    run(server, "evaluate", f"{server.url}/predictions/efficientnet", table, "--out", tmp_path)
    with (tmp_path / "answers.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == FILMS
