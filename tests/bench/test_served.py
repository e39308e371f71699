"""A server under load: a small one on loopback that answers as OsteoLens does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from typer.testing import CliRunner

from osteolens.bench.results import load
from osteolens.cli.root import app
from osteolens.quality import Quality
from osteolens.rows import dump
from osteolens.schema import Answer, Film, ModelInfo, Timing

ANSWER = dump(
    Answer(
        id="1", label="normal", probabilities={"normal": 1.0}, t_score=None, quality=Quality(),
        film=Film(width=240, height=300), explanations=(),
        model=ModelInfo(name="knee", version="1.5", card_sha256="a" * 64),
        timing_ms=Timing(decode=1, model=1, explain=1),
    )
)  # fmt: skip
QUICK = ["--model", "knee", "--rounds", "2", "--seconds", "0.2", "--warm-up", "0"]


class Standing:
    """The server, and what it saw."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.refuses_every = 0
        standing = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                standing.headers.append(dict(self.headers))
                refused = standing.refuses_every and len(standing.headers) % standing.refuses_every == 0
                self.send_response(404 if self.path != "/predictions/knee" else 503 if refused else 200)
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def standing() -> Iterator[Standing]:
    server = Standing()
    threading.Thread(target=server.server.serve_forever, daemon=True).start()
    yield server
    server.server.shutdown()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(encoded(knee_like()))
    return tmp_path / "films"


def test_loads_are_measured_in_turns(standing: Standing, films: Path, tmp_path: Path) -> None:
    (tmp_path / "key_file.json").write_text(json.dumps({"inference": {"key": "secret"}}))
    options = ["--server", standing.url, "--concurrency", "1", "--concurrency", "3", "--rate", "40"]
    place = ["--films", str(films), "--out", str(tmp_path / "out"), "--key-file", str(tmp_path / "key_file.json")]
    done = CliRunner().invoke(app, ["bench", *options, *QUICK, *place])
    assert done.exit_code == 0, done.output
    results = load(tmp_path / "out" / "bench.json")
    (run,) = results.runs
    assert (run.model, run.version, run.card_sha256, run.others_percent) == ("knee", "1.5", "a" * 64, None)
    assert results.protocol.seconds == 0.2
    assert {
        (measurement.case.heat_map, measurement.case.concurrency, measurement.case.rate)
        for measurement in run.measurements
    } == {(heat_map, *load) for heat_map in ("none", "heat map") for load in ((1, None), (3, None), (None, 40))}
    for measurement in run.measurements:
        assert measurement.case.scope == "http"
        assert [turn.index for turn in measurement.rounds] == [0, 1]
        assert measurement.traffic is not None
        assert measurement.traffic.statuses == {200: measurement.calls}
    assert {headers["Authorization"] for headers in standing.headers} == {"Bearer secret"}
    assert {headers.get("X-OsteoLens-Explain") for headers in standing.headers} == {None, "none"}
    assert "server, 3 at a time" in (tmp_path / "out" / "bench.md").read_text()
    assert "secret" not in (tmp_path / "out" / "bench.json").read_text()


def test_refused_films_are_told(standing: Standing, films: Path, tmp_path: Path) -> None:
    standing.refuses_every = 5
    options = ["--server", standing.url, "--concurrency", "1", "--no-heat-map"]
    done = CliRunner().invoke(app, ["bench", *options, *QUICK, "--films", str(films), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (measurement,) = load(tmp_path / "out" / "bench.json").measurements
    assert measurement.traffic is not None
    assert measurement.traffic.statuses[200] == measurement.calls  # refusals have no part in the latencies
    assert measurement.traffic.statuses[503] == pytest.approx(measurement.calls / 4, abs=2)
    assert "not every request of server, 1 at a time was answered" in " ".join(done.output.split())


def test_a_model_that_is_not_served(standing: Standing, films: Path) -> None:
    options = ["--server", standing.url, "--model", "absent", "--films", str(films)]
    done = CliRunner().invoke(app, ["bench", *options])
    assert done.exit_code == 2
    assert "status 404" in done.output


def test_a_failure_in_a_later_run_does_not_cost_the_earlier_ones(
    standing: Standing, films: Path, tmp_path: Path
) -> None:
    options = ["--server", standing.url, *QUICK, "--model", "absent", "--concurrency", "1", "--no-heat-map"]
    done = CliRunner().invoke(app, ["bench", *options, "--films", str(films), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "error: the server answered with status 404" in done.output
    assert [run.model for run in load(tmp_path / "out" / "bench.json").runs] == ["knee"]
