"""`osteolens batch` as it is typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import osteolens
from osteolens.cli.root import app
from osteolens.films.overlay import COLOUR_MAPS

from .fake_server import FakeServer
from .helpers import OUT, check_rows, make_films, results


def call(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    osteolens_command = str(Path(sys.executable).parent / "osteolens")
    done = subprocess.run([osteolens_command, "batch", *arguments], capture_output=True, input=stdin, timeout=300)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_exit_status_and_summary(server: FakeServer) -> None:
    films = make_films(Path("films"), 3)
    done = call("films", "--out", str(OUT), "--server", server.url)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("3 answered, 0 failed; 3 answers in ")
    assert done.stderr.endswith("see out/report.html\n")
    check_rows(OUT, films)
    Path("films/bad.png").write_bytes(b"bad")
    assert call("films", "--out", str(OUT), "--server", server.url, "-q").returncode == 3
    server.stop()
    Path("films/more.png").write_bytes(b"more")
    gone = call("films", "--out", str(OUT), "--server", server.url, "--wait", "0")
    assert gone.returncode == 4
    assert "; the same command goes on" in gone.stderr
    assert call("absent", "--out", str(OUT)).returncode == 2
    server.start()


def test_paths_on_standard_input(server: FakeServer) -> None:
    films = make_films(Path("films"), 5)
    names = b"\0".join(name.encode() for name in films)
    assert call("-", "-0", "-o", str(OUT), "--server", server.url, "-q", stdin=names).returncode == 0
    check_rows(OUT, films)


def test_json_lines_tell_start_notes_failures_progress_and_end(server: FakeServer) -> None:
    make_films(Path("films"), 4)
    Path("films/bad\n.png").write_bytes(b"bad")
    done = call("films", "--out", str(OUT), "--server", server.url, "--log", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "start"
    assert events[0]["models"] == ["efficientnet"]
    (failed,) = [event for event in events if event["event"] == "failed"]
    assert (failed["file"], failed["code"]) == ("films/bad\n.png", "unsupported_type")
    (end,) = [event for event in events if event["event"] == "end"]
    assert (end["status"], end["answered"], end["refused"]) == (3, 4, 1)
    progress = [event for event in events if event["event"] == "progress"][-1]
    assert (progress["done"], progress["errors"]) == (5, 1)


def test_help_names_every_colour_map() -> None:
    help_text = CliRunner().invoke(app, ["batch", "--help"]).stdout
    assert "exit status: 0" in help_text.lower()
    for name in COLOUR_MAPS:
        assert name in help_text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--opacity", "2"], "opacity"),
        (["--colour-map", "rainbow"], "colour map is 'rainbow'"),
        (["--max-in-flight", "0"], "max-in-flight"),
        (["--log", "xml"], "xml"),
        (["--server", "no address"], "is not an address"),
    ],
)
def test_wrong_options_are_told(options: list[str], message: str) -> None:
    make_films(Path("films"), 1)
    done = CliRunner().invoke(app, ["batch", "films", "--out", str(OUT), *options])
    assert done.exit_code == 2
    assert message in done.stderr
    assert not OUT.exists()


def test_clients_come_with_the_package_and_only_when_asked_for() -> None:
    code = (
        "import sys, osteolens\n"
        "assert not {'httpx', 'pydantic', 'pyarrow', 'aiohttp'} & set(sys.modules)\n"
        "from osteolens import AsyncClient, Client\n"
        "assert not {'pyarrow', 'aiohttp', 'cv2'} & set(sys.modules)\n"
        "print(osteolens.batch.run.__name__, Client.__name__, AsyncClient.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "run Client AsyncClient\n"
    with pytest.raises(AttributeError, match="no attribute 'clients'"):
        _ = osteolens.clients  # type: ignore[attr-defined]


def test_results_say_what_their_columns_hold(server: FakeServer) -> None:
    from osteolens.batch.rows import COLUMNS

    make_films(Path("films"), 1)
    assert call("films", "--out", str(OUT), "--server", server.url, "-q").returncode == 0
    assert list(results(OUT)[0])[: len(COLUMNS)] == [column.name for column in COLUMNS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray", "--wait", "5"], "--wait is for --engine http, but the engine is ray"),
        (["--model-store", "models"], "--model-store is for --engine ray, but the engine is http"),
    ],
)
def test_an_option_of_the_other_engine_is_refused(arguments: list[str], message: str) -> None:
    done = call("films", "--out", str(OUT), *arguments)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
