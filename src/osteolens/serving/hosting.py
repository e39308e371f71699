"""Runs an engine, and the web app beside it, until Ctrl-C or a signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

from osteolens import logs
from osteolens.errors import ServerError
from osteolens.places import shipped
from osteolens.serving.explanations import installed_meanwhile
from osteolens.serving.keeper import Keeper
from osteolens.serving.torchserve import Server, read_keys

WEB = shipped() / "web" / "manage.py"
STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.5


def server_class(engine: str) -> type[Server]:
    """What starts an engine, `torchserve` or `uvicorn`.

    Raises:
        ServerError: There is no such engine.
    """
    from osteolens.serving.asgi.server import UvicornServer

    engines: dict[str, type[Server]] = {"torchserve": Server, "uvicorn": UvicornServer}
    if engine not in engines:
        raise ServerError(f"there is no engine {engine!r}: use torchserve or uvicorn")
    return engines[engine]


def tls_files(certificate: Path | None, private_key: Path | None, web: str | None) -> tuple[Path, Path] | None:
    """The two files of TLS; None for plain HTTP.

    Raises:
        ServerError: One of them alone, a file that is not there, or a web app beside it.
    """
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        raise ServerError("--certificate and --private-key belong together")
    if web:
        raise ServerError("the web app would not know the certificate: start it by itself, with SSL_CERT_FILE set")
    for path in (certificate, private_key):
        if not path.is_file():
            raise ServerError(f"no {path}: give a PEM file")
    return certificate.resolve(), private_key.resolve()


def run(server: Server, web: str | None = None, *, add_explanations: bool = False) -> None:
    """Start a server, say in three lines how to use it, and keep it running until Ctrl-C, SIGTERM or SIGHUP.

    A server that ends once it has run is started again and again, and the web app stays up meanwhile.

    Args:
        server: Not yet started.
        web: Address of the web app, such as `127.0.0.1:8000`; none to do without it.
        add_explanations: Install what other explanations than Grad-CAM need, once the server answers.

    Raises:
        ServerError: One of them cannot start, or the web app ended by itself.
    """
    logs.to_stderr("%(asctime)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with server:
            print(*usage(server), sep="\n", flush=True)
            explanations = installed_meanwhile() if add_explanations else nullcontext()
            keeper = Keeper(server)
            with web_app(server, web) if web else nullcontext() as app, explanations:
                while app is None or app.poll() is None:
                    keeper.watch(_LOOK_SECONDS)
                raise ServerError(
                    f"the web app ended with status {app.returncode} and says why above; where its address is taken: "
                    "OSTEOLENS_WEB=127.0.0.1:8001 make serve"
                )
    except KeyboardInterrupt:
        print("stopped", flush=True)


@contextmanager
def web_app(server: Server, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The web app as a child process that uses a running server.

    Raises:
        ServerError: Django is not installed.
    """
    if find_spec("django") is None:
        raise ServerError("the web app needs Django: pip install 'osteolens[web]'")
    environment = {"OSTEOLENS_MODELS": ",".join(sorted(server.models, key=_main_first)), **os.environ}
    if server.folder and server.folder != Path.cwd():
        environment.setdefault("OSTEOLENS_DATA", str(server.folder / "web_data"))
    environment.pop("OSTEOLENS_KEY", None)  # that would be another server's key
    environment |= {"OSTEOLENS_URL": server.url, "DJANGO_SETTINGS_MODULE": "project.settings"}
    if server.key_file:
        environment["OSTEOLENS_KEY_FILE"] = str(server.key_file)
    # In a session of its own: Ctrl-C reaches this process alone, which ends the app first and the server then.
    process = subprocess.Popen(
        [sys.executable, WEB, "serve_web", "--bind", address, "--child"], env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _main_first(model: str) -> tuple[bool, str]:
    return model != "knee", model


def usage(server: Server) -> list[str]:
    """Three lines: where a running server listens, how to send a film, where the key is."""
    listens = f"Listening on {server.url} for {', '.join(server.models)}; Ctrl-C stops it."
    address = f"{server.url}/predictions/{server.models[0]}"
    if server.key_file is None:
        return [listens, f"Send a film: curl -T film.jpg {address}", "No key is needed: tokens are turned off."]
    path = server.key_file
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    key = f'$(python3 -c \'import json; print(json.load(open("{path}"))["inference"]["key"])\')'
    until = read_keys(server.key_file)["inference"]["expiration time"][:16].replace("T", " ")
    return [
        listens,
        f'Send a film: curl -T film.jpg -H "Authorization: Bearer {key}" {address}',
        f"Key: {path}, readable by you alone, valid until {until} UTC or the next start.",
    ]
