"""The process of a backend, asked from outside."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from conftest import encoded, knee_like

from osteolens.bench.backends import Subject
from osteolens.bench.plan import Setup
from osteolens.bench.processes import BackendProcess, CannotRun
from osteolens.bench.worker import Worker, peak_rss_mib
from osteolens.errors import BenchmarkError


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    (tmp_path / "film.png").write_bytes(encoded(knee_like()))
    return Setup(
        model=tmp_path, backend="onnx-fp32", exports=tmp_path, threads=1, films=(tmp_path / "film.png",)
    )  # fmt: skip


def test_a_missing_package_is_told(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hiding = tmp_path / "hiding" / "openvino"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("raise ModuleNotFoundError('hidden', name='openvino')\n")
    monkeypatch.setenv("PYTHONPATH", str(hiding.parent))
    with pytest.raises(CannotRun, match=r"it needs the package openvino: pip install 'osteolens\[bench\]'"):
        BackendProcess(setup.model_copy(update={"backend": "openvino"}), tmp_path / "process")


def test_an_error_in_the_process_comes_as_it_is(setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no card.json in .*expected a model folder"):
        BackendProcess(setup, tmp_path / "process")


def test_a_process_that_dies_is_told(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hiding = tmp_path / "hiding" / "onnxruntime"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("import os, sys\nprint('illegal instruction', file=sys.stderr)\nos._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(hiding.parent))
    with pytest.raises(BenchmarkError, match="the process of onnx-fp32 ended with status 7: illegal instruction"):
        BackendProcess(setup, tmp_path / "process")


def test_what_a_process_computes_while_it_should_rest_is_noted() -> None:
    def lines() -> Iterator[str]:
        time.sleep(0.1)
        yield "one"
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
        yield "two"

    waiting, worker = lines(), Worker(cast("Subject", None))
    assert worker.rest(waiting) == "one"
    assert worker.idle_cpu_s < 0.05
    assert worker.rest(waiting) == "two"
    assert worker.idle_cpu_s > 0.09
    assert worker.idle_s > 0.19
    assert worker.rest(waiting) == ""


def test_the_peak_of_memory_stays_when_the_memory_is_given_back() -> None:
    before = peak_rss_mib()
    block = bytearray(64 * 1024**2)
    block[::4096] = b"1" * len(block[::4096])
    del block
    assert peak_rss_mib() >= before
    assert peak_rss_mib() > 64
