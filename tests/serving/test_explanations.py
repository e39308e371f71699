"""Explanations whose packages are installed while a server runs; the installer here is a small program."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, encoded, knee_like

from osteolens.card import load_card
from osteolens.errors import ExplanationMissing, ExplanationNotReady
from osteolens.exporting.graph import write_graphs
from osteolens.inference import availability
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import load_runtime
from osteolens.rows import ErrorAnswer
from osteolens.serving import explanations
from osteolens.serving.requests import refusal, respond

MODEL = ROOT / "weights" / "yolov5"
FILM = encoded(knee_like())


@pytest.fixture(autouse=True)
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "osteolens-explain.json"
    monkeypatch.setattr(availability, "MARKER", path)
    monkeypatch.setattr(explanations, "MARKER", path)
    return path


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graphs(MODEL, tmp_path_factory.mktemp("graphs"))[0]


@pytest.fixture
def reader(graphs: Path) -> Reader:
    reader = Reader(MODEL, load_runtime(graphs.parent, load_card(MODEL), "onnx-fp32"), graph=graphs, slow_methods=True)
    reader.gate = None  # which takes this small drawing for no film
    return reader


def install_by(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_import = explanations._INSTALL.replace("import osteolens.inference.runtimes.heads", "")
    monkeypatch.setattr(explanations, "_INSTALL", without_import)
    monkeypatch.setattr(explanations, "missing_packages", lambda: ["torch>=2"])
    monkeypatch.setattr(explanations, "install_command", lambda packages: [sys.executable, "-c", code, *packages])


def test_a_request_during_the_installation_is_told_how_long_to_wait(
    reader: Reader, marker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film = Request(FILM, {"explain": "gradcam++"}, "x")
    install_by("import time; time.sleep(60)", monkeypatch)
    with explanations.installed_meanwhile():
        with pytest.raises(ExplanationNotReady, match=r"ready in about 1[12]. s: its packages are being") as caught:
            reader.answer(film)
        assert 110 <= caught.value.retry_after <= explanations.TYPICAL_SECONDS
        assert reader.answer(Request(FILM, {}, "x")).explanations[0].method == "gradcam"
        json.loads(marker.read_text())
    assert not marker.exists()
    assert "ready" not in capsys.readouterr().out  # it was stopped
    assert reader.answer(film).explanations[0].method == "gradcam++"  # without a restart


def test_the_server_says_when_all_explanations_are_there(
    monkeypatch: pytest.MonkeyPatch, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_by("import sys; assert sys.argv[1] == 'torch>=2'", monkeypatch)
    with explanations.installed_meanwhile():
        deadline = time.monotonic() + 120
        while availability.seconds_left(marker) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "All explanations are ready (" in capsys.readouterr().out


def test_a_failed_installation_is_said_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_by("import sys; sys.exit('No room for torch')", monkeypatch)
    with explanations.installed_meanwhile():
        while availability.seconds_left(marker) is not None:
            time.sleep(0.05)
    assert "could not be installed: No room for torch; to try again: pip install" in capsys.readouterr().out


def test_a_killed_installation_is_not_waited_for(marker: Path) -> None:
    code = (
        "import fcntl, pathlib, sys, time\n"
        "stream = pathlib.Path(sys.argv[1]).open('w')\n"
        "fcntl.flock(stream, fcntl.LOCK_EX)\n"
        "stream.write('{\"until\": 0}')\n"
        "stream.flush()\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, marker], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert availability.seconds_left(marker) == availability.SHORTEST_WAIT  # later than expected
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert availability.seconds_left(marker) is None


def test_what_is_not_installed_is_named_with_the_command(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osteolens.inference.runtimes.heads", None)
    monkeypatch.setitem(sys.modules, "osteolens.inference.runtimes.eager", None)
    for method in ("eigencam", "scorecam"):
        with pytest.raises(ExplanationMissing, match=r"not installed.*pip install 'osteolens\[explain\]'"):
            reader.answer(Request(FILM, {"explain": method}, "x"))


def test_a_yolov5_also_names_ultralytics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(ExplanationMissing, match=r"osteolens\[explain,yolo\]"), availability.needs_packages():
        import ultralytics  # noqa: F401


class Context:
    """TorchServe's, as far as a response goes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}

    def set_response_status(self, code: int, phrase: str, index: int) -> None:
        self.status = code

    def set_response_content_type(self, index: int, value: str) -> None:
        pass

    def set_response_header(self, index: int, name: str, value: str) -> None:
        self.headers[name] = value


def test_the_wait_is_in_the_header_and_in_the_body() -> None:
    context, result = Context(), refusal(ExplanationNotReady("not yet", "gradcam works", 42))
    body = json.loads(respond([result], 0, context))
    assert (context.status, context.headers["retry-after"]) == (503, "42")
    assert body["error"] == {
        "code": "explanation_not_ready", "message": "not yet", "hint": "gradcam works", "retry_after": 42
    }  # fmt: skip
    context = Context()
    body = json.loads(respond([refusal(ExplanationMissing("none", "install it"))], 0, context))
    assert (context.status, "retry-after" in context.headers) == (501, False)
    assert "retry_after" not in body["error"]


def test_several_films_have_no_common_wait() -> None:
    context, result = Context(), refusal(ExplanationNotReady("not yet", "", 42))
    assert isinstance(result[1], ErrorAnswer)
    respond([result, result], 0, context)
    assert "retry-after" not in context.headers


def test_the_packages_of_the_extra_are_installed_as_pinned() -> None:
    assert explanations.missing_packages() == []  # in this environment
    command = explanations.install_command(["torch>=2.6"])
    pins = Path(command[command.index("--constraint") + 1]).read_text()
    assert "\ntorch==" in pins
    assert command[-1] == "torch>=2.6"
