"""What a server takes from its machine, and that nothing of it is left."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from osteolens.errors import ServerError
from osteolens.serving import supervisor, surroundings
from osteolens.serving.surroundings import claim, clean_environment, private_folder


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary folder as the system's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_settings_of_others_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TS_CONFIG_FILE", "http_proxy", "ALL_PROXY", "PYTHONPATH", "JDK_JAVA_OPTIONS", "CLASSPATH", "LANG"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = clean_environment()
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["LC_ALL"].endswith("UTF-8")
    assert "/elsewhere" not in environment.values()


@pytest.mark.parametrize("name", ["x" * 76, "Köln"])
def test_a_temporary_folder_that_cannot_hold_sockets_is_replaced(
    base: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    unfit = base / name
    unfit.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unfit))
    with private_folder() as (folder, _):
        assert folder.parent == Path("/tmp")
        assert len(f"{folder}/.ts.sock.65535") <= 103
    monkeypatch.setattr(os, "access", lambda path, mode: path == str(unfit))
    with pytest.raises(ServerError, match=r"cannot hold sockets: at most 69 characters.*TMPDIR"), private_folder():
        pass


def test_a_folder_has_one_server_at_a_time(tmp_path: Path) -> None:
    with claim(tmp_path):
        started = time.monotonic()
        with pytest.raises(ServerError, match=rf"a server \(process {os.getpid()}\) already runs"), claim(tmp_path):
            pass
        assert time.monotonic() - started < 1
    with claim(tmp_path):
        pass


def test_of_eight_that_start_at_once_one_wins(tmp_path: Path) -> None:
    outcomes: list[bool] = []
    together, over = threading.Barrier(8), threading.Barrier(8)

    def start() -> None:
        together.wait()
        try:
            with claim(tmp_path):
                outcomes.append(True)
                over.wait()
        except ServerError:
            outcomes.append(False)
            over.wait()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


def test_a_server_whose_starter_was_killed_is_waited_for(tmp_path: Path) -> None:
    """Its supervisor holds the lock for a moment longer."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with claim(tmp_path) as lock:
        lock.truncate(0)
        lock.write(str(ended.pid))
        lock.flush()
        inherited = subprocess.Popen(["sleep", "1"], pass_fds=[lock.fileno()])
    started = time.monotonic()
    with claim(tmp_path):
        assert time.monotonic() - started > 0.5
    inherited.wait()


def test_what_a_dead_server_left_behind_is_swept_and_a_living_one_is_not(base: Path) -> None:
    dead = base / "osteolens-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "models").mkdir()
    (base / "osteolens-test-not-ours").mkdir()
    program = ["-c", "import time; time.sleep(60)", surroundings.TORCHSERVE[1]]
    worker = subprocess.Popen([sys.executable, *program, f"{dead}/.ts.sock.9000"])
    reader = subprocess.Popen(["sleep", "60"], cwd=dead)
    try:
        with private_folder() as (living, _), private_folder() as (other, _):
            assert worker.wait(5) == -signal.SIGKILL
            assert reader.poll() is None
            assert {path.name for path in base.iterdir()} == {living.name, other.name, "osteolens-test-not-ours"}
    finally:
        worker.kill()
        reader.kill()
        worker.wait()
        reader.wait()


STARTER = """
import subprocess, sys, time
program = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
program += "subprocess.Popen(['sleep', '60']); open(sys.argv[1], 'w').write('up'); time.sleep(60)"
command = [sys.executable, sys.argv[1], "0.5", *sys.argv[2:4], "--", sys.executable, "-c", program, sys.argv[2]]
supervisor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
print(supervisor.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_starter_dies_all_of_it_ends_and_its_files_go(tmp_path: Path, number: signal.Signals) -> None:
    key, private = tmp_path / "key", tmp_path / "private"
    (private / "models").mkdir(parents=True)
    command = [sys.executable, "-c", STARTER, supervisor.__file__, str(key), str(private)]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    with starter.stdout:
        group = int(starter.stdout.readline())
    deadline = time.monotonic() + 120
    while not key.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(supervisor.group_members(group)) == 2  # a program that ignores SIGTERM, and its child
    starter.send_signal(number)
    starter.wait()
    while psutil.pid_exists(group) and psutil.Process(group).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert supervisor.group_members(group) == []
    assert list(tmp_path.iterdir()) == []


def test_the_supervisor_ends_with_the_programs_status(tmp_path: Path) -> None:
    command = [sys.executable, supervisor.__file__, "1", str(tmp_path / "none"), "--", "sh", "-c", "exit 3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(10) == 3
