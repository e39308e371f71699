"""What a network, a server and a disk do to a batch: every film still has one row, and the right one."""

import itertools
import json
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from osteolens import batch
from osteolens.batch import reading
from osteolens.batch.answerers.http import pipeline
from osteolens.batch.answerers.http.send import TRIES
from osteolens.errors import BatchError, ServerRefuses, ServerUnreachable

from ..fake_server import FakeServer, Response, error_body
from ..helpers import check_rows, make_films, results, right_label

OUT = Path("out")
OSTEOLENS = str(Path(sys.executable).parent / "osteolens")


def run(server: FakeServer, **options: object) -> batch.Summary:
    return batch.run(["films"], OUT, server=server.url, progress="quiet", **options)  # type: ignore[arg-type]


def some_of(share: float, fault: Callable[[random.Random, Response], Response]) -> Callable[..., Response | None]:
    """A fault that strikes a share of the requests, at random but the same each time."""
    chance = random.Random(0)
    return lambda number, film, response: fault(chance, response) if chance.random() < share else None


def change_a_digit(chance: random.Random, response: Response) -> Response:
    """Still JSON, still a whole answer: only the digest tells."""
    digits = [place for place, byte in enumerate(response.body) if chr(byte).isdigit()]
    body = bytearray(response.body)
    place = chance.choice(digits)
    body[place] = ord("0") + (body[place] - ord("0") + 1) % 10
    return replace(response, body=bytes(body))


FAULTS: dict[str, Callable[[random.Random, Response], Response]] = {
    "dropped": lambda chance, response: replace(response, silent=True),
    "late": lambda chance, response: replace(response, late=0.2),
    "cut off": lambda chance, response: replace(response, cut=chance.randrange(1, 400)),
    "cut off with the right length": lambda chance, response: replace(response, body=response.body[:40], headers={}),
    "changed": change_a_digit,
    "nonsense": lambda chance, response: replace(response, body=bytes(len(response.body)), headers={}),
    "worker died": lambda chance, response: Response(507, b'{"code": 507, "message": "Worker died."}'),
    "failed": lambda chance, response: Response(500, error_body("internal_error")),
    "full": lambda chance, response: Response(503, b'{"code": 503, "message": "queue is full"}'),
    "gateway": lambda chance, response: Response(502, b"<html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_tenth_of_the_answers_goes_wrong(server: FakeServer, name: str) -> None:
    films = make_films(Path("films"), 60) | {str(Path("films/bad.png").absolute()): b"bad"}
    Path("films/bad.png").write_bytes(b"bad")
    server.fault = some_of(0.1, FAULTS[name])
    assert run(server, read_timeout=0.1 if name == "late" else 5).totals == batch.Totals(answered=60, refused=1)
    check_rows(OUT, films)
    assert server.requests > 61


def test_retry_after_is_honoured_by_everybody(server: FakeServer) -> None:
    films = make_films(Path("films"), 20)
    moments: list[float] = []

    def busy_once(number: int, film: bytes, response: Response) -> Response | None:
        moments.append(time.monotonic())
        return Response(503, b"", {"Retry-After": "1"}) if number == 5 else None

    server.fault = busy_once
    run(server)
    check_rows(OUT, films)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert max(gaps) > 0.9


def test_fewer_are_under_way_when_there_is_no_room(server: FakeServer) -> None:
    films = make_films(Path("films"), 120)
    server.delay = 0.02

    def room_for_three(number: int, film: bytes, response: Response) -> Response | None:
        return Response(429, b"") if server.in_flight > 3 else None

    server.fault = room_for_three
    run(server)
    check_rows(OUT, films)
    assert server.requests < 240  # a batch that did not shrink would be refused eight times out of nine


def test_more_are_under_way_while_there_is_room(server: FakeServer) -> None:
    make_films(Path("films"), 300)
    server.delay = 0.01
    run(server, max_in_flight=12)
    assert 8 <= server.most_in_flight <= 12


@pytest.mark.parametrize(
    ("status", "code"), [(400, "because"), (413, ""), (413, "too_costly"), (415, "because"), (422, "because")]
)
def test_a_refusal_is_never_tried_again(server: FakeServer, status: int, code: str) -> None:
    make_films(Path("films"), 3)
    server.fault = lambda number, film, response: Response(status, error_body(code) if code else b"")
    assert run(server).totals == batch.Totals(refused=3)
    assert server.requests == 3
    assert {row["error_code"] for row in results(OUT)} == {code or "http_413"}


def test_a_film_that_kills_its_worker_fails_alone(server: FakeServer) -> None:
    films = make_films(Path("films"), 40)
    died = Response(507, b'{"code": 507, "type": "InternalServerException", "message": "Worker died."}')
    server.fault = lambda number, film, response: died if film == b"film 7" else None
    assert run(server).totals == batch.Totals(answered=39, failed=1)
    (row,) = [row for row in results(OUT) if row["status"] == "failed"]
    assert (row["path"], row["error_code"], row["attempts"]) == (list(films)[7], "http_507", TRIES)
    server.fault = lambda number, film, response: None
    assert run(server).answers == 1
    check_rows(OUT, films)


def test_a_film_that_never_comes_back_fails_alone(server: FakeServer) -> None:
    films = make_films(Path("films"), 40)
    server.fault = lambda number, film, response: replace(response, late=60.0) if film == b"film 7" else None
    server.delay = 0.01
    assert run(server, total_timeout=0.1, wait=0.5).totals == batch.Totals(answered=39, failed=1)
    (row,) = [row for row in results(OUT) if row["status"] == "failed"]
    assert (row["path"], row["error_code"], row["attempts"]) == (list(films)[7], "time_out", TRIES)


def test_a_server_that_is_away_for_a_while_is_waited_for(server: FakeServer, capfd: pytest.CaptureFixture[str]) -> None:
    films = make_films(Path("films"), 60)
    server.delay = 0.01

    def away(number: int, film: bytes, response: Response) -> None:
        if number == 20:
            threading.Thread(target=lambda: (server.stop(), time.sleep(3), server.start())).start()

    server.fault = away
    assert run(server, wait=20).status == 0
    check_rows(OUT, films)
    errors = capfd.readouterr().err
    assert f"waiting up to 20 s for efficientnet: no answer from {server.url}" in errors
    assert "efficientnet answers again" in errors


def test_a_server_that_stays_away_ends_the_batch_and_the_next_call_goes_on(server: FakeServer) -> None:
    films = make_films(Path("films"), 60)

    def away(number: int, film: bytes, response: Response) -> None:
        if number == 20:
            threading.Thread(target=server.stop).start()

    server.fault, server.delay = away, 0.02
    with pytest.raises(ServerUnreachable, match=r"has not answered for \d+ s \(--wait 0.5\): no answer from"):
        run(server, wait=0.5)
    before = len(results(OUT))
    assert 15 <= before < 60
    assert json.loads((OUT / "run.json").read_text())["status"] == 4
    server.fault = lambda number, film, response: None
    server.start()
    assert run(server).answers == 60 - before
    check_rows(OUT, films)


def test_a_server_that_wants_to_be_left_alone_for_long_ends_the_batch(server: FakeServer) -> None:
    make_films(Path("films"), 3)
    server.fault = lambda number, film, response: Response(429, b"", {"Retry-After": "3600"})
    with pytest.raises(ServerUnreachable, match=r"asks to come back in 3600 s"):
        run(server)


def test_a_wrong_key_ends_the_batch_at_once(server: FakeServer) -> None:
    make_films(Path("films"))
    server.key = "right"
    Path("key.json").write_text('{"inference": {"key": "wrong"}}')
    with pytest.raises(ServerRefuses, match=r"refuses the key: Token Authorization failed"):
        run(server, key_file=Path("key.json"))
    assert server.requests < 10  # of 20: those that were under way, and who took their places meanwhile


def test_a_key_that_is_renewed_on_the_way_is_read_again(server: FakeServer) -> None:
    films = make_films(Path("films"), 40)
    server.key = "old"
    Path("key_file.json").write_text('{"inference": {"key": "old"}}')

    def renew(number: int, film: bytes, response: Response) -> None:
        if number == 10:
            server.key = "new"
        if number == 30:
            Path("key_file.json").write_text('{"inference": {"key": "new"}}')

    server.fault = renew
    assert run(server).status == 0
    check_rows(OUT, films)


def test_a_model_that_is_not_served_ends_the_batch_at_once(server: FakeServer) -> None:
    make_films(Path("films"))
    with pytest.raises(ServerRefuses, match=r"refuses resnet: resnet \(is that model's archive in model_store\?\)"):
        run(server, models=["resnet"])


def test_a_film_that_is_too_large_is_not_read(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    make_films(Path("films"), 3)
    Path("films/large.png").write_bytes(bytes(101))
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert run(server).totals == batch.Totals(answered=3, failed=1)
    assert server.requests == 3


def test_files_that_vanish_before_they_are_read_get_a_row(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    films = make_films(Path("films"), 30)
    gone = list(films)[::3]
    read = reading.read

    def vanish(film: reading.Film) -> reading.Content:
        if film.path in gone:
            Path(film.path).unlink()
        return read(film)

    monkeypatch.setattr(pipeline, "read", vanish)
    assert run(server).totals == batch.Totals(answered=20, failed=10)
    assert sorted(row["path"] for row in results(OUT) if row["error_code"] == "file_not_found") == gone


def limited_files(size: int) -> Callable[[], None]:
    """Files of this process cannot grow beyond a size: as near to a full disk as one gets without a mount."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [30_000, 120_000, 200_000])
def test_a_full_disk_ends_the_batch_and_the_next_call_goes_on(server: FakeServer, size: int) -> None:
    """With 30 kB not even the journal can be made, with 120 kB it ends on the way."""
    films = make_films(Path("films"), 100)
    command = [OSTEOLENS, "batch", "films", "--out", str(OUT), "--server", server.url, "--quiet"]
    done = subprocess.run(command, preexec_fn=limited_files(size), capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "is the disk full?" in done.stderr
    assert done.stderr.count("\n") == 1
    tables = list(OUT.glob("results.parquet"))  # there was room for some, perhaps, but then they are whole
    known = [row for _ in tables for row in results(OUT)]
    assert len(known) <= (0 if size == 30_000 else 99)
    assert all(row["label"] == right_label(films[row["path"]]) for row in known)
    assert subprocess.run(command, timeout=300).returncode == 0
    check_rows(OUT, films)


def test_a_table_is_whole_or_not_there(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    films = make_films(Path("films"), 10)
    run(server)
    (part,) = (OUT / "results.parquet").iterdir()
    before = part.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(BatchError, match=r"results.parquet and results.csv cannot be written to out: No space left"):
        run(server)
    assert part.read_bytes() == before
    assert not list(OUT.glob(".*draft*"))
    check_rows(OUT, films)


def test_a_killed_batch_goes_on(server: FakeServer) -> None:
    films = make_films(Path("films"), 200)
    server.delay = 0.02
    command = [OSTEOLENS, "batch", "films", "--out", str(OUT), "--server", server.url, "--quiet"]
    with subprocess.Popen(command) as killed:
        while server.requests < 60:
            time.sleep(0.005)
        killed.kill()
    assert run(server).status == 0
    check_rows(OUT, films)
    # What was under way when it was killed is asked again, and nothing else.
    assert sum(server.answers.values()) <= 200 + 32


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_what_is_known(server: FakeServer, number: signal.Signals) -> None:
    make_films(Path("films"), 300)
    server.delay = 0.03
    command = [OSTEOLENS, "batch", "films", "--out", str(OUT), "--server", server.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as stopped:
        while server.requests < 40:
            time.sleep(0.005)
        stopped.send_signal(number)
        assert stopped.wait(timeout=120) == 130
        assert stopped.stderr is not None
        assert "the same command goes on" in stopped.stderr.read()
    assert 20 <= len(results(OUT)) < 300
