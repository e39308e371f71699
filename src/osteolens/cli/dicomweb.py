"""`osteolens dicomweb`: films of an archive answered, and the objects of the answers stored there."""

import json
import os
import signal
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from osteolens.cli import options
from osteolens.console import Status, one_line_errors, packages_of
from osteolens.errors import OsteoLensError, ServerUnreachable

if TYPE_CHECKING:
    from osteolens.dicomweb.answering import Ask
    from osteolens.dicomweb.archive import Archive
    from osteolens.dicomweb.scoring import Totals

PASSWORD_VARIABLE, TOKEN_VARIABLE = "OSTEOLENS_DICOMWEB_PASSWORD", "OSTEOLENS_DICOMWEB_TOKEN"
QUEUE_SECONDS = 0.5
app = typer.Typer(
    help="Answer films of an archive that speaks DICOMweb, and store the answers there.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

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
Every = Annotated[float, typer.Option(min=0.1, help="Seconds between looks for new films.")]
Again = Annotated[bool, typer.Option("--again", help="Try the films of the dead-letter list again.")]


@app.command()
@one_line_errors
def score(
    url: Url,
    study: Annotated[list[str] | None, typer.Option(help="Study Instance UID; may be repeated.")] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            help="Search for studies, such as ModalitiesInStudy=DX. May be repeated: one keyword's values are "
            "alternatives, other keywords narrow."
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on and answer new films until stopped.")] = False,
    every: Every = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the films that would be answered; do nothing.")
    ] = False,
    out: Folder = Path("dicomweb"),
    model: Model = "efficientnet",
    server: options.Server = None,
    key_file: options.KeyFile = None,
    explain: options.Explain = "gradcam",
    target: options.Target = None,
    user: User = None,
    password_file: PasswordFile = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    in_flight: InFlight = 2,
    again: Again = False,
    json_output: options.Json = False,
) -> None:
    """Answer the knee films of some studies, and store picture, map, report and page beside them.

    Each film is answered once, whatever stops this command; the same command goes on. Not for diagnosis.

    Exit status: 0 all answered, 2 wrong usage or refused, 3 some films failed, 4 archive or server do not answer,
    130 stopped.
    """
    if not study and not query:
        raise OsteoLensError("which studies? give --study UID, or --query such as ModalitiesInStudy=DX")
    filters = _filters(query or [])
    with packages_of("dicom", "DICOMweb"):
        from osteolens.dicomweb.ledger import Ledger
        from osteolens.dicomweb.scoring import jobs_of_archive, pending
        from osteolens.dicomweb.scoring import score as score_films
    archive = open_archive(url, user, password_file, token_file, ca_file)

    def studies() -> Iterable[tuple[str, int | None]]:
        yield from ((uid, None) for uid in study or [])
        seen: set[str] = set()
        for search in filters:
            for uid, objects in archive.studies(search):
                if uid not in seen:
                    seen.add(uid)
                    yield uid, objects

    ask = asker(server, key_file, model, options.facts_and_explanation(explain, target))
    with Ledger(out, f"{archive.url} {model}") as ledger, ended_by_status():
        if again:
            ledger.revive()
        if dry_run:
            _list([place.instance for place in pending(archive, ledger, studies)], json_output)
            return
        jobs = jobs_of_archive(archive, ask, ledger, studies)
        totals = score_films(jobs, ledger, in_flight=in_flight, every=every if watch else None, say=say)
    conclude(totals, json_output)


@app.command()
@one_line_errors
def listen(
    allow: Annotated[list[str], typer.Option(help="AE title that may send films; may be repeated.")],
    url: Annotated[
        str | None,
        typer.Option(envvar="OSTEOLENS_DICOMWEB_URL", help="Archive that the answers are stored in (STOW-RS)."),
    ] = None,
    send_to: Annotated[
        str | None, typer.Option(help="Or where they are sent (C-STORE), such as PACS@192.0.2.7:104.")
    ] = None,
    ae_title: Annotated[str, typer.Option(help="Own AE title, which senders must call.")] = "OSTEOLENS",
    host: Annotated[str, typer.Option(help="Own address; 127.0.0.1 is reached from this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Own port.")] = 11112,
    out: Folder = Path("dicomweb"),
    model: Model = "efficientnet",
    server: options.Server = None,
    key_file: options.KeyFile = None,
    explain: options.Explain = "gradcam",
    target: options.Target = None,
    user: User = None,
    password_file: PasswordFile = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    in_flight: InFlight = 2,
) -> None:
    """Receive films by C-STORE until stopped, answer each once, and store or send picture, map, report and page.

    A film that was received waits in the folder queue of --out until it is answered; the same command goes on.
    Not for diagnosis.

    Exit status: 2 wrong usage or refused, 130 stopped.
    """
    if not url and not send_to:
        raise OsteoLensError("where do answers go? give --url or --send-to, such as --send-to PACS@192.0.2.7:104")
    with packages_of("dicom", "receiving films"):
        from osteolens.dicomweb.dimse import Peer, Queue, jobs_of_queue, receiving
        from osteolens.dicomweb.ledger import Ledger
        from osteolens.dicomweb.scoring import score as score_films
    destination = (
        Peer.parse(send_to, ae_title) if send_to else open_archive(url or "", user, password_file, token_file, ca_file)
    )
    ask = asker(server, key_file, model, options.facts_and_explanation(explain, target))
    queue = Queue(out / "queue")
    with (
        Ledger(out, f"{send_to or url} {model}") as ledger,
        ended_by_status(),
        receiving(queue, host, port, ae_title, allow),
    ):
        say(f"{ae_title} receives films from {', '.join(allow)} on {host}:{port}")
        jobs = jobs_of_queue(queue, ask, destination, ledger)
        score_films(jobs, ledger, in_flight=in_flight, every=QUEUE_SECONDS, say=say)


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


def _list(uids: list[str], json_output: bool) -> None:
    if json_output:
        print(json.dumps(uids))
        return
    for uid in uids:
        print(uid)
    say(f"{len(uids):,} films would be answered")


def _filters(query: list[str]) -> list[dict[str, str]]:
    """Searches, by keyword; a keyword with several values makes several, as not every archive takes lists.

    Raises:
        OsteoLensError: A term is none, or its keyword is not in the standard.
    """
    from pydicom.datadict import tag_for_keyword

    values: dict[str, list[str]] = {}
    for term in query:
        name, equals, value = term.partition("=")
        if not (equals and value) or tag_for_keyword(name) is None:
            raise OsteoLensError(f"--query {name!r} is no search term: KEYWORD=VALUE, such as ModalitiesInStudy=DX")
        values.setdefault(name, []).append(value)
    return [dict(zip(values, choice, strict=True)) for choice in product(*values.values())] if values else []


def _secret(path: Path | None, variable: str) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path else os.environ.get(variable)
