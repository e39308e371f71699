"""What the commands of `osteolens dicomweb` share: options, the archive, the server, how they end."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from osteolens.cli import options
from osteolens.console import Status
from osteolens.errors import OsteoLensError, ServerUnreachable

if TYPE_CHECKING:
    from osteolens.dicomweb.answering import Ask
    from osteolens.dicomweb.archive import Archive
    from osteolens.dicomweb.scoring import Totals

PASSWORD_VARIABLE, TOKEN_VARIABLE = "OSTEOLENS_DICOMWEB_PASSWORD", "OSTEOLENS_DICOMWEB_TOKEN"
Url = Annotated[
    str,
    typer.Option(envvar="OSTEOLENS_DICOMWEB_URL", help="Root of the archive, such as https://pacs.example/dicom-web."),
]
User = Annotated[
    str | None, typer.Option(help=f"User name; the password is in --password-file or ${PASSWORD_VARIABLE}.")
]
PasswordFile = Annotated[Path | None, typer.Option(help="File that holds the password alone.")]
TokenFile = Annotated[Path | None, typer.Option(help=f"File that holds a bearer token alone; or ${TOKEN_VARIABLE}.")]
CaFile = Annotated[Path | None, typer.Option(help="Certificates (PEM) to check the archive's against.")]
Model = Annotated[str, options.model("Name of a served model.")]
Folder = Annotated[Path, options.out("Folder for the ledger and the dead-letter list; with the same one it goes on.")]
InFlight = Annotated[int, typer.Option(min=1, help="Films under way at a time.")]


def open_archive(
    url: str, user: str | None, password_file: Path | None, token_file: Path | None, ca_file: Path | None
) -> "Archive":
    """The archive at an address, with what opens it.

    Raises:
        OsteoLensError: A password stands in the address, or is missing.
    """
    from osteolens.dicomweb.archive import Archive, Bearer

    if urlsplit(url).password:
        raise OsteoLensError(
            f"everybody here sees the password in --url: give --user and --password-file, or ${PASSWORD_VARIABLE}"
        )
    token = _secret(token_file, TOKEN_VARIABLE)
    if not user:
        return Archive(url, Bearer(token) if token else None, ca_file)
    from requests.auth import HTTPBasicAuth

    password = _secret(password_file, PASSWORD_VARIABLE)
    if password is None:
        raise OsteoLensError(f"--user {user} needs a password: give --password-file, or ${PASSWORD_VARIABLE}")
    return Archive(url, HTTPBasicAuth(user.encode(), password.encode()), ca_file)


def asker(server: str | None, key_file: Path | None, model: str, texts: dict[str, str]) -> "Ask":
    """A function that sends the bytes of a film to a running server."""
    from osteolens.client import Client

    client = Client(server, key_file=key_file)
    return lambda data: client.predict(data, model=model, options=texts)


class ended_by_status:  # noqa: N801 - reads as a statement
    """Ends the command with the status of an error: no answer 4, SIGTERM as Ctrl-C 130."""

    def __enter__(self) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from osteolens.client import ServerBusy

        if isinstance(error, ServerUnreachable | ServerBusy):
            print(f"error: {error}; the same command goes on", file=sys.stderr)
            raise typer.Exit(Status.UNREACHABLE) from error


def say(line: str) -> None:
    """Print a line for people."""
    print(line, file=sys.stderr, flush=True)


def conclude(totals: "Totals", json_output: bool) -> None:
    """Say what became of the films, and end with the status."""
    if json_output:
        print(json.dumps(vars(totals)))
    else:
        say(str(totals))
    raise typer.Exit(Status.SOME_FAILED if totals.dead or totals.failed else Status.DONE)


def _secret(path: Path | None, variable: str) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path else os.environ.get(variable)
