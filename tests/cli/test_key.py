"""`osteolens key`: which key is taken, and what each command prints."""

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.client import find_key, key_source
from osteolens.errors import ClientError

LATER, EARLIER = "2999-12-31T23:59:59.123456", "2001-02-03T04:05:06.123456"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OSTEOLENS_KEY", "OSTEOLENS_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def write_keys(path: Path, key: str = "secret", until: str = LATER, mode: int = 0o600) -> Path:
    keys = {"inference": {"key": key, "expiration time": until}, "API": {"key": f"api of {key}"}}
    path.write_text(json.dumps(keys))
    path.chmod(mode)
    return path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["key", *arguments])
    return done.exit_code, done.output


def test_an_argument_wins_over_the_key_and_the_key_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key() is None
    write_keys(Path("key_file.json"), "of the folder")
    assert find_key() == "of the folder"
    monkeypatch.setenv("OSTEOLENS_KEY_FILE", "other.json")
    with pytest.raises(ClientError, match=r"there is no key file other\.json"):
        find_key()
    write_keys(Path("other.json"), "of the variable")
    assert (find_key(), key_source()) == ("of the variable", Path("other.json"))
    monkeypatch.setenv("OSTEOLENS_KEY", "itself")
    assert (find_key(), key_source()) == ("itself", None)
    write_keys(Path("third.json"), "of the argument")
    assert find_key(Path("third.json")) == "of the argument"


def test_show_prints_the_key_alone() -> None:
    status, output = run("show")
    assert status == 2
    assert output.startswith("error: there is no key file key_file.json")
    write_keys(Path("key_file.json"))
    assert run("show") == (0, "secret\n")


@pytest.mark.parametrize(
    ("until", "mode", "status", "text"),
    [
        (LATER, 0o600, 0, "key_file.json, valid until 2999-12-31 23:59 UTC\n"),
        (EARLIER, 0o600, 5, "key_file.json expired on 2001-02-03 04:05 UTC; start the server again\n"),
        (LATER, 0o640, 5, "key_file.json can be read by others; chmod 600 key_file.json\n"),
    ],
)
def test_where_says_whether_the_file_is_in_order(until: str, mode: int, status: int, text: str) -> None:
    write_keys(Path("key_file.json"), until=until, mode=mode)
    assert run("where") == (status, text)
    assert json.loads(run("where", "--json")[1])["file"] == "key_file.json"


def test_a_file_that_holds_no_keys_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("key_file.json").write_text("[]")
    status, output = run("where")
    assert status == 5
    assert "key_file.json is not a key file" in output
    Path("key_file.json").chmod(0o600)
    Path("key_file.json").write_text("x" * 40)
    assert run("where") == (0, "key_file.json, which holds a key alone\n")
    monkeypatch.setenv("OSTEOLENS_KEY", "itself")
    assert run("where") == (0, "from $OSTEOLENS_KEY\n")


def test_create_writes_a_token_that_nobody_else_reads_and_replaces_none() -> None:
    assert run("create", "-o", "token") == (0, "written to token\n")
    token = Path("token").read_text().strip()
    assert len(token) >= 32
    assert stat.S_IMODE(Path("token").stat().st_mode) == 0o600
    status, output = run("create", "-o", "token")
    assert status == 2
    assert "token is there already" in output
    assert Path("token").read_text().strip() == token


class _Management(BaseHTTPRequestHandler):
    """Renews keys like TorchServe's management API."""

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer api of secret" and self.path == "/token?type=inference"
        self.send_response(200 if allowed else 400)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def management() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Management) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_renew_asks_the_server_with_its_own_key(management: str) -> None:
    write_keys(Path("key_file.json"))
    assert run("renew", "--management", management) == (0, "renewed: key_file.json\n")
    write_keys(Path("key_file.json"), "another server's")
    status, output = run("renew", "--management", management)
    assert status == 2
    assert "refuses to renew the key: status 400" in output
    status, output = run("renew", "--management", "http://127.0.0.1:9")
    assert status == 2
    assert "no answer from http://127.0.0.1:9" in output
