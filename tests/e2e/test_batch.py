"""`osteolens batch` against a real TorchServe, with everything in its way that may come in its way."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from bad_proxy import LATE, BadProxy
from conftest import encoded, knee_like
from pyarrow import parquet
from stores import CONFIG, build_archive

from osteolens import batch
from osteolens.errors import InputError
from osteolens.inference.reader import Reader, Request
from osteolens.serving.torchserve import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "batch.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# Those on a cluster need no server: tests/batch/ray.
COMMANDS = re.findall(r"(?m)^\.venv/bin/osteolens batch (?!.*--engine ray).*$", PAGE)
OSTEOLENS = str(Path(sys.executable).parent / "osteolens")
FILMS, UNREADABLE = 300, 40
ODD_NAMES = ["with space.png", "line\nbreak.png", "膝蓋.png", "колено.png", "ركبة.png", '"q",;=1+1.png', "%41#?.png"]
BROKEN = [b"", b"just some words", b"%PDF-1.7\n", b"PK\x03\x04" + bytes(64), encoded(knee_like(96, 80))[:900]]
UNREACHABLE = "d" * 200  # such folders, one in another until the path is longer than the system takes


@pytest.fixture(scope="module")
def server(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store, folder = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("server")
    build_archive(model_folder, exports, store)
    with Server(CONFIG, port=0, model_store=store, folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Content by path: 300 files, of which 40 are no film, 20 are copies of others, and 7 have odd names."""
    folder = tmp_path_factory.mktemp("batch") / "films"
    folder.mkdir()
    contents = [encoded(knee_like(96, 80, seed=number), "JPEG") for number in range(FILMS - UNREADABLE - 20)]
    contents += contents[:20]
    contents += [BROKEN[number % len(BROKEN)] + b"." * (number // len(BROKEN)) for number in range(UNREADABLE)]
    names = ODD_NAMES + [f"{number:03}.jpg" for number in range(FILMS - len(ODD_NAMES))]
    random.Random(0).shuffle(contents)
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    return {str(folder / name): content for name, content in zip(names, contents, strict=True)}


@pytest.fixture(scope="module")
def folder(films: dict[str, bytes]) -> Path:
    return Path(next(iter(films))).parent


@pytest.fixture(scope="module")
def right(films: dict[str, bytes], model_folder: Path) -> dict[bytes, dict[str, float] | str]:
    """Probabilities, or the code of the error, by content, from the model in this process."""
    contents = list(set(films.values()))
    reader = Reader(model_folder)

    def expected(content: bytes) -> dict[str, float] | str:
        try:
            return reader.answer(Request(content, {"explain": "none"}, "")).probabilities
        except InputError as error:
            return error.code

    return {content: expected(content) for content in contents}


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(out / "results.parquet").to_pylist()
    return rows


def check(rows: list[dict[str, Any]], films: dict[str, bytes], right: dict[bytes, dict[str, float] | str]) -> None:
    """Every file has exactly one row, with its own answer or its own error."""
    assert sorted(row["path"] for row in rows) == sorted(films)
    for row in rows:
        wanted = right[films[row["path"]]]
        if isinstance(wanted, str):
            assert (row["status"], row["error_code"], row["label"]) == ("refused", wanted, None)
        else:
            assert row["status"] == "answered", row
            assert {label: row[f"probability_{label}"] for label in wanted} == pytest.approx(wanted, abs=1e-4)
            assert row["label"] == max(wanted, key=lambda label: row[f"probability_{label}"])


def safe_rows(out: Path) -> int:
    """Films that a batch has written down so far."""
    try:
        with closing(sqlite3.connect(out / "progress.sqlite")) as database:
            return int(database.execute("SELECT COUNT(*) FROM rows").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # there is none yet


def make_unreachable(top: Path) -> None:
    """A folder that nobody can list, root neither: its path is longer than the system takes."""
    before = Path.cwd()
    os.chdir(top)
    try:
        for _ in range(os.pathconf(top, "PC_PATH_MAX") // len(UNREACHABLE) + 1):
            Path(UNREACHABLE).mkdir()
            os.chdir(UNREACHABLE)
        Path("film.png").write_bytes(b"nobody gets here")
    finally:
        os.chdir(before)


def test_ten_kills_lose_nothing_and_double_nothing(
    server: Server, films: dict[str, bytes], folder: Path, right: dict[bytes, dict[str, float] | str], tmp_path: Path
) -> None:
    """Killed eight times somewhere among the films, and twice when all are known and the tables are being written."""
    make_unreachable(folder.parent)
    out = tmp_path / "out"
    command = [OSTEOLENS, "batch", str(folder.parent), "--out", str(out), "--server", server.url, "--quiet"]
    command += ["--key-file", str(server.key_file)]
    chance, safe = random.Random(1), 0
    for kill in range(10):
        until = safe + chance.randrange(1, 30) if kill < 8 else FILMS + 1
        with subprocess.Popen([*command, "--max-in-flight", "4"]) as running:
            while safe_rows(out) < until:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.05))
            running.kill()
        assert running.returncode == -signal.SIGKILL
        assert safe_rows(out) >= until
        safe = safe_rows(out)
    done = subprocess.run(command, timeout=300)
    assert done.returncode == 3
    rows = rows_of(out)
    unreachable = [row for row in rows if row["error_code"] == "unreadable_folder"]
    assert len(unreachable) == 1
    assert "File name too long" in unreachable[0]["error_message"]
    check([row for row in rows if row not in unreachable], films, right)
    totals = {"answered": FILMS - UNREADABLE, "refused": UNREADABLE, "failed": 1, "pending": 0}
    assert json.loads((out / "run.json").read_text())["totals"] == totals
    shutil.rmtree(folder.parent / UNREACHABLE)


def workers(server: Server) -> list[psutil.Process]:
    """The processes that answer."""
    members = [psutil.Process(pid) for pid in server.processes()]
    return [one for one in members if any("model_service_worker" in word for word in one.cmdline())]


def test_a_bad_network_dying_workers_and_a_restart_lose_nothing(
    server: Server, films: dict[str, bytes], folder: Path, right: dict[bytes, dict[str, float] | str], tmp_path: Path
) -> None:
    killed: list[int] = []

    def interfere(proxy: BadProxy) -> None:
        for number in range(5):
            while proxy.answers < 35 * (number + 1):
                time.sleep(0.005)
            victim = workers(server)[0]
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)
        while proxy.answers < 200:
            time.sleep(0.005)
        server.stop()
        server.start()

    with BadProxy(server.url, 0.05) as proxy:
        interfering = threading.Thread(target=interfere, args=[proxy], daemon=True)
        interfering.start()
        summary = batch.run(
            [folder], tmp_path / "out", server=proxy.url, key_file=server.key_file, overlays=True,
            read_timeout=LATE - 0.5, wait=60, progress="quiet",
        )  # fmt: skip
        interfering.join(timeout=1)
        assert not interfering.is_alive()
        assert len(set(killed)) == 5
        assert set(proxy.damage) == {"dropped", "delayed", "truncated", "corrupted"}
    rows = rows_of(tmp_path / "out")
    check(rows, films, right)
    assert summary.status == 3
    drawn = [row["overlay"] for row in rows if row["status"] == "answered"]
    assert all((tmp_path / "out" / name).stat().st_size > 1000 for name in drawn)


@pytest.fixture
def integrator(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the documented examples expect it: the server's key, a virtual environment, films and a table."""
    assert server.key_file
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "key_file.json").symlink_to(server.key_file)
    (tmp_path / "films").mkdir()
    for number in range(6):
        (tmp_path / "films" / f"{number:03}.png").write_bytes(encoded(knee_like(96, 80, seed=number)))
    (tmp_path / "knee.jpg").write_bytes(encoded(knee_like(96, 80), "JPEG"))
    (tmp_path / "films.csv").write_text("file,age,sex,site\nfilms/000.png,63,female,Oslo\nfilms/001.png,,,Graz\n")
    monkeypatch.setenv("OSTEOLENS_URL", server.url)
    return tmp_path


@pytest.mark.parametrize("number", range(3))
def test_the_documented_examples_run_as_written(integrator: Path, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES[number]], cwd=integrator, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\b(normal|osteopenia|osteoporosis)\b|answered", done.stdout)


def test_the_documented_commands_run_as_written(integrator: Path) -> None:
    assert COMMANDS
    for command in COMMANDS:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=integrator, timeout=300)
        assert done.returncode == 0, command
