"""`osteolens key`: the keys that a server asks for."""

import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import Status, one_line_errors
from osteolens.errors import ClientError

app = typer.Typer(
    help="Show, find, renew and make the keys that a server asks for.", no_args_is_help=True, rich_markup_mode=None
)
TOKEN_BYTES = 32


@app.command()
@one_line_errors
def show(key_file: options.KeyFile = None) -> None:
    """Print the inference key and nothing else, as for curl -H "Authorization: Bearer $(osteolens key show)"."""
    from osteolens.client import find_key, key_source

    key = find_key(key_file)
    if key is None:
        raise ClientError(f"there is no key file {key_source()}: a server writes it where it starts (osteolens serve)")
    typer.echo(key)


@app.command()
@one_line_errors
def where(key_file: options.KeyFile = None, json_output: options.Json = False) -> None:
    """Say which file or variable the key comes from, and how long it is valid.

    Exit status: 0 it is in order, 5 something must be fixed.
    """
    from osteolens.client import key_source
    from osteolens.doctor.server import check_key

    check = check_key(key_file)
    if json_output:
        typer.echo(json.dumps({"file": None if (path := key_source(key_file)) is None else str(path), **vars(check)}))
    else:
        typer.echo(f"{check.text}; {check.remedy}" if check.remedy else check.text)
    raise typer.Exit(Status.FINDINGS if check.state == "fix" else Status.DONE)


@app.command()
@one_line_errors
def renew(
    management: Annotated[str, typer.Option(help="Address of the server's management API.")] = "http://127.0.0.1:8081",
    key_file: options.KeyFile = None,
) -> None:
    """Let a running server write a new inference key into its key file; the earlier one ends."""
    import httpx

    from osteolens.client import KEY_FILE, key_source

    path = key_source(key_file) or KEY_FILE
    try:
        key = json.loads(path.read_text())["API"]["key"]
    except (ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path} is not a server's key file: {error!r}") from error
    # TorchServe renews by the API key; the management key is refused here.
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(trust_env=False) as http:
            answer = http.get(f"{management}/token", params={"type": "inference"}, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ClientError(f"no answer from {management}: {error}; --management takes another address") from error
    if not answer.is_success:
        raise ClientError(
            f"{management} refuses to renew the key: status {answer.status_code}; is {path} that server's?"
        )
    typer.echo(f"renewed: {path}")


@app.command()
@one_line_errors
def create(out: Annotated[Path, options.out("The file, readable by you alone.")]) -> None:
    """Write a new random token, such as the one that deploy/gate.py asks clients for (OSTEOLENS_TOKEN_FILE)."""
    try:
        # The mode from the first moment, and never an earlier file: a token that others could read is none.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ClientError(f"{out} is there already: name another file, or delete it") from None
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{secrets.token_urlsafe(TOKEN_BYTES)}\n")
    typer.echo(f"written to {out}")
