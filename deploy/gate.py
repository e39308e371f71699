"""Starts TorchServe on loopback, and nginx in front of it with one token for all replicas: what a container runs.

TorchServe draws new keys of 48 bits at each start and cannot be given one, so replicas behind one service would each
want another key. nginx asks for the token of the secret instead, puts TorchServe's own key in its place, and is the
only one that other machines can reach. It starts when every worker is ready, so an open port means readiness.
"""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.errors import ServerError
from osteolens.serving.hosting import server_class
from osteolens.serving.torchserve import CONFIG, Server

NGINX_CONF = Path(__file__).with_name("nginx.conf")
KEY_CONF = "key.conf"
TOKEN = re.compile(r"[\w-]{32,}", re.ASCII)
INNER_KEY_MINUTES = 10 * 365 * 24 * 60
"""The key between nginx and TorchServe never leaves the container and lives as long as TorchServe does."""


@one_line_errors
def main(
    token_file: Annotated[
        Path, typer.Option(envvar="OSTEOLENS_TOKEN_FILE", help="Holds the token that clients must send.")
    ],
    config: Annotated[Path, typer.Option(help="TorchServe configuration.")] = CONFIG,
    model_store: Annotated[Path | None, typer.Option(help="Archives; default: as configured.")] = None,
    engine: Annotated[str, typer.Option(envvar="OSTEOLENS_ENGINE", help="torchserve or uvicorn.")] = "torchserve",
) -> None:
    """Serve the archives behind the gate until SIGTERM; not a success if TorchServe or nginx ends by itself."""
    if os.geteuid() == 0:  # nginx would drop to another user, who cannot enter its folder
        raise ServerError("started as root; start it as an ordinary user, as the Dockerfile does with USER 10001")
    token = read_token(token_file)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    server = server_class(engine)(config, model_store=model_store)
    server.settings["token_expiration_min"] = str(INNER_KEY_MINUTES)
    try:
        with server, tempfile.TemporaryDirectory(prefix="gate-") as folder:
            guard(server, token, Path(folder))
    except KeyboardInterrupt:
        typer.echo("stopped")


def read_token(path: Path) -> str:
    """The token that clients must send as `Authorization: Bearer TOKEN`.

    Raises:
        ServerError: The file is missing, or holds no token.
    """
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise ServerError(f"cannot read the token: {error}") from error
    if not TOKEN.fullmatch(token):
        raise ServerError(
            f"{path} holds {len(token)} characters that make no token; at least 32 letters, digits, - or _ do, "
            "for example those of: openssl rand -hex 32"
        )
    return token


def guard(server: Server, token: str, folder: Path) -> None:
    """Run nginx in front of a running server.

    Raises:
        ServerError: One of them ended.
    """
    nginx = start_nginx(folder, token, str(server.inference_key))
    try:
        typer.echo(f"ready: {', '.join(server.models)} behind the gate")
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if nginx.poll() is None:
            server.wait()
        raise ServerError(f"nginx ended with status {nginx.poll()}; it says why above")
    finally:
        nginx.terminate()
        nginx.wait()


def start_nginx(folder: Path, token: str, key: str) -> subprocess.Popen[bytes]:
    """Start nginx with its configuration in a private folder, where it keeps everything else, too."""
    config = folder / NGINX_CONF.name
    config.write_text(NGINX_CONF.read_text())
    (folder / KEY_CONF).touch(mode=0o600)
    (folder / KEY_CONF).write_text(key_conf(token, key))
    return subprocess.Popen(["nginx", "-e", "stderr", "-p", folder, "-c", config])


def key_conf(token: str, key: str) -> str:
    """What nginx.conf includes: `$known` is 1 for who sends the token, `$torchserve_key` what TorchServe wants to see.

    The token stands there as a pattern because nginx compares plain texts without regard to upper and lower case.
    """
    return (
        f'map $http_authorization $known {{ default 0; "~^Bearer {token}$" 1; }}\n'
        f'map $host $torchserve_key {{ default "Bearer {key}"; }}\n'
    )


if __name__ == "__main__":
    typer.run(main)
