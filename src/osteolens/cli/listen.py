"""`osteolens dicomweb listen`: films that are pushed, by C-STORE and by STOW-RS, answered as they come."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options, pacs
from osteolens.console import one_line_errors, packages_of
from osteolens.errors import OsteoLensError

QUEUE_SECONDS = 0.5
STOW_KEY = "stow.key"
Allow = Annotated[
    list[str] | None, typer.Option(help="AE title that may send films by C-STORE; may be repeated. Without: nobody.")
]
StowPort = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port for films that come by STOW-RS, with a key; default: none.")
]
StowKey = Annotated[
    Path | None, typer.Option(help=f"File with the key that they need, made if missing; default: {STOW_KEY} in --out.")
]
Certificate = Annotated[Path | None, typer.Option(help="Certificate (PEM) for STOW-RS over TLS.")]
CertificateKey = Annotated[Path | None, typer.Option(help="Its private key, where it is not in the same file.")]


@one_line_errors
def listen(
    allow: Allow = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="OSTEOLENS_DICOMWEB_URL", help="Archive that the answers are stored in (STOW-RS)."),
    ] = None,
    send_to: Annotated[
        str | None, typer.Option(help="Or where they are sent (C-STORE), such as PACS@192.0.2.7:104.")
    ] = None,
    ae_title: Annotated[str, typer.Option(help="Own AE title, which senders must call.")] = "OSTEOLENS",
    host: Annotated[str, typer.Option(help="Own address; 127.0.0.1 is reached from this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Own port for C-STORE.")] = 11112,
    stow_port: StowPort = None,
    stow_key_file: StowKey = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    out: pacs.Folder = Path("dicomweb"),
    model: pacs.Model = "efficientnet",
    server: options.Server = None,
    key_file: options.KeyFile = None,
    explain: options.Explain = "gradcam",
    target: options.Target = None,
    user: pacs.User = None,
    password_file: pacs.PasswordFile = None,
    token_file: pacs.TokenFile = None,
    ca_file: pacs.CaFile = None,
    in_flight: pacs.InFlight = 2,
) -> None:
    """Receive films until stopped, answer each once, and store or send picture, map, report and page.

    A film that was received waits in the folder queue of --out until it is answered; the same command goes on.
    Not for diagnosis.

    Exit status: 2 wrong usage or refused, 130 stopped.
    """
    if not url and not send_to:
        raise OsteoLensError("where do answers go? give --url or --send-to, such as --send-to PACS@192.0.2.7:104")
    if not allow and stow_port is None:
        raise OsteoLensError("who may send films? give --allow AE_TITLE for C-STORE, or --stow-port for STOW-RS")
    with packages_of("dicom", "receiving films"):
        from osteolens.dicomweb import stow
        from osteolens.dicomweb.dimse import Peer, Queue, jobs_of_queue, receiving
        from osteolens.dicomweb.ledger import Ledger
        from osteolens.dicomweb.pseudonyms import load_key
        from osteolens.dicomweb.scoring import score as score_films
    access = (user, password_file, token_file, ca_file)
    destination = Peer.parse(send_to, ae_title) if send_to else pacs.open_archive(url or "", *access)
    ask = pacs.asker(server, key_file, model, options.facts_and_explanation(explain, target))
    queue = Queue(out / "queue")
    with Ledger(out, f"{send_to or url} {model}") as ledger, pacs.ended_by_status(), ExitStack() as receivers:
        if allow:
            receivers.enter_context(receiving(queue, host, port, ae_title, allow))
            pacs.say(f"{ae_title} receives films from {', '.join(allow)} on {host}:{port}")
        if stow_port is not None:
            stow_key = stow_key_file or out / STOW_KEY
            app = stow.service(queue, load_key(stow_key).hex())
            receivers.enter_context(stow.serving(app, host, stow_port, certificate, certificate_key))
            scheme = "https" if certificate else "http"
            pacs.say(f"STOW-RS receives films on {scheme}://{host}:{stow_port}/studies with the key in {stow_key}")
        jobs = jobs_of_queue(queue, ask, destination, ledger)
        score_films(jobs, ledger, in_flight=in_flight, every=QUEUE_SECONDS, say=pacs.say)
