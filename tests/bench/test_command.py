"""`osteolens bench` as people run it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import ROOT, encoded, knee_like, make_model_folder
from PIL import Image
from support.scripts import run_script
from typer.testing import CliRunner, Result

from bench.made_up import case, measurement, results
from osteolens.bench import plan, processes, worker
from osteolens.bench.results import load, save
from osteolens.cli.root import app

BENCH = [str(Path(sys.executable).parent / "osteolens"), "bench"]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(encoded(knee_like(seed=seed)))
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "onnx"], "unknown backend 'onnx': use one of eager, "),
        (["--calls", "0"], "--calls 0 is too small: use 1 or more"),
        (["--model", "absent"], "no card.json in absent"),
        (["--films", "."], "no film in ."),
        (["--films", "absent"], "absent: there is no such file"),
        (["--exports", "absent"], "there is no folder absent: --exports takes one such as build/efficientnet"),
        (["--concurrency", "4"], "--concurrency is for a server: give its address with --server"),
        (["--server", "http://127.0.0.1:9", "--batch", "2"], "--batch does not go with --server"),
        (["--server", "http://127.0.0.1:9"], "no answer from http://127.0.0.1:9"),
        (["compare", "a.json", "b.json"], "a.json: there is no such file"),
    ],
)
def test_wrong_usage_is_one_line(
    options: list[str], message: str, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "efficientnet").symlink_to(model_folder)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["bench", *options])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert done.output.startswith(f"error: {message}")
    assert not (tmp_path / "bench").exists()


def test_compare(tmp_path: Path) -> None:
    for name, medians in (("old", [10, 11, 12, 13, 14]), ("new", [20, 21, 22, 23, 24])):
        save(results(measurement(medians, run_id=name)), tmp_path / f"{name}.json")
    done = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert done.exit_code == 0
    assert "+10.00" in done.output
    assert "not measured in turns" in done.output


def run(*options: str | Path) -> Result:
    """In this process; the backends have theirs."""
    return CliRunner().invoke(app, ["bench", *map(str, options)])


@pytest.fixture
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends answer in this process: those of their own would import PyTorch for seconds each."""

    def start(*_: object, **__: object) -> SimpleNamespace:
        lines: list[str] = []
        replies = worker.replies(iter(lambda: lines.pop(0), None))
        stdin = SimpleNamespace(write=lines.append, flush=nothing, close=nothing)
        stdout = SimpleNamespace(readline=lambda: json.dumps(next(replies)), close=replies.close)
        return SimpleNamespace(pid=os.getpid(), stdin=stdin, stdout=stdout, wait=nothing)

    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(Popen=start, PIPE=subprocess.PIPE))


@pytest.mark.slow
def test_two_backends(model_folder: Path, exports: Path, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--model", model_folder, "--exports", exports, "--films", films, "--out", out, "--threads", "1"]
    done = run(*arguments, "--backend", "eager", "--backend", "onnx-fp32", "--batch", "1", "--batch", "2", "--quick")
    assert done.exit_code == 0, done.stderr
    results = load(out / "bench.json")
    (measured,) = results.runs
    assert measured.complete
    assert results.protocol.film_count == 3
    by_case = {figures.case: figures for figures in measured.measurements}
    shape = {"model": "efficientnet", "threads": 1}
    assert set(by_case) == {
        *(case(scope="model", heat_map=heat, batch=batch, **shape)
          for heat in ("none", "grad-cam", "closed form") for batch in (1, 2)),
        *(case("onnx-fp32", scope="model", heat_map="closed form", batch=batch, **shape) for batch in (1, 2)),
        *(case(scope="bytes", heat_map=heat, **shape) for heat in ("none", "grad-cam")),
        *(case("onnx-fp32", scope="bytes", heat_map=heat, **shape) for heat in ("none", "closed form")),
    }  # fmt: skip
    for figures in by_case.values():
        assert [turn.index for turn in figures.rounds] == [0, 1, 2, 3, 4]
        assert figures.calls == 15
        assert 0 < figures.p50_ms <= figures.p95_ms <= figures.p99_ms
        assert figures.parity is not None
        assert figures.process is not None
        assert figures.parity.films == 3
        assert figures.parity.other_labels == 0
        assert figures.parity.probability < 1e-4
        # Between 0 and 1 in 256 levels, a level of rounding apart.
        assert (figures.parity.heat_map or 0) < (1.5 / 255 if figures.case.scope == "bytes" else 1e-3)
        assert (figures.parity.heat_map is None) == (figures.case.heat_map == "none")
        assert figures.process.idle_cpu_percent < 5
    eager, onnx = (by_case[case(backend, scope="bytes", **shape)].process for backend in ("eager", "onnx-fp32"))
    assert eager is not None
    assert onnx is not None
    assert onnx.peak_rss_mib < 0.6 * eager.peak_rss_mib  # PyTorch is not in its process
    assert onnx.import_s < eager.import_s
    with Image.open(out / "bench.png") as picture:
        assert picture.width > 800
    assert len((out / "bench.csv").read_text().splitlines()) == 1 + len(by_case)
    assert "onnx-fp32 + closed form" in done.stdout
    assert "onnx-fp32 + closed form" in (out / "bench.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("without_processes")
def test_an_export_of_another_model_is_refused(exports: Path, films: Path, tmp_path: Path) -> None:
    other = make_model_folder(tmp_path / "other", seed=5)
    for backend in ("onnx-fp32", "torchscript"):
        arguments = ["--model", other, "--exports", exports, "--films", films, "--out", tmp_path / "out"]
        done = run(*arguments, "--backend", backend, "--threads", "1", "--quick")
        assert done.exit_code == 2
        assert "does not belong to its card" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("without_processes")
def test_the_script_measures_what_there_is(
    model_folder: Path, exports: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 1)  # half the backends
    arguments = [
        model_folder,
        "--exports",
        exports,
        "--films",
        films,
        "--out",
        tmp_path,
        "--rounds",
        "1",
        "--calls",
        "1",
    ]
    done = run_script(ROOT / "export" / "benchmark_onnx.py", *arguments)
    assert done.returncode == 0, done.stderr
    (run,) = load(tmp_path / "bench.json").runs
    assert {"eager", "eager-channels-last", "torchscript", "onnx-fp32"} <= {
        measurement.case.backend for measurement in run.measurements
    }
    assert run.left_out["onnx-int8"] == f"there is no model.int8.onnx in {exports}"


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def started(arguments: list[str | Path], temporary: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A benchmark that would take hours, and its processes, once it is at its rounds."""
    process = subprocess.Popen(
        [*BENCH, *map(str, arguments)],
        env=os.environ | {"TMPDIR": str(temporary)},  # SIGKILL leaves what is there
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers: list[psutil.Process] = []
    spent = 0.0
    end = time.monotonic() + 300
    while time.monotonic() < end:
        time.sleep(0.1)
        if len(workers) < 2:
            workers = sorted(psutil.Process(process.pid).children(), key=lambda worker: worker.create_time())
            spent = cpu_seconds(workers[0]) if workers else 0.0
        elif cpu_seconds(workers[0]) > spent + 0.3:  # the first rests while the second starts
            return process, workers
    process.kill()
    raise AssertionError("no turn within five minutes")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopping(how: signal.Signals, model_folder: Path, exports: Path, films: Path, tmp_path: Path) -> None:
    arguments = [
        "--model",
        model_folder,
        "--exports",
        exports,
        "--films",
        films,
        "--out",
        tmp_path / "out",
        "--calls",
        "1",
    ]
    arguments += ["--backend", "onnx-fp32", "--threads", "1", "--threads", "2", "--rounds", "100000"]
    process, workers = started(arguments, tmp_path)
    os.kill(process.pid, how)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped early, what was measured is written" in errors
        written = json.loads((tmp_path / "out" / "bench.json").read_text())
        assert not written["runs"][0]["complete"]
        assert len(written["runs"][0]["measurements"]) == 6
