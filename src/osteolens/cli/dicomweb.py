"""`osteolens dicomweb`: films of an archive answered, and the objects of the answers stored there."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import listen, options, pacs
from osteolens.console import one_line_errors, packages_of
from osteolens.errors import OsteoLensError

app = typer.Typer(
    help="Answer films of an archive that speaks DICOMweb, and store the answers there.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command()(listen.listen)
Every = Annotated[float, typer.Option(min=0.1, help="Seconds between looks for new films.")]
Again = Annotated[bool, typer.Option("--again", help="Try the films of the dead-letter list again.")]


@app.command()
@one_line_errors
def score(
    url: pacs.Url,
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
    archive = pacs.open_archive(url, user, password_file, token_file, ca_file)

    def studies() -> Iterable[tuple[str, int | None]]:
        yield from ((uid, None) for uid in study or [])
        seen: set[str] = set()
        for search in filters:
            for uid, objects in archive.studies(search):
                if uid not in seen:
                    seen.add(uid)
                    yield uid, objects

    ask = pacs.asker(server, key_file, model, options.facts_and_explanation(explain, target))
    with Ledger(out, f"{archive.url} {model}") as ledger, pacs.ended_by_status():
        if again:
            ledger.revive()
        if dry_run:
            _list([place.instance for place in pending(archive, ledger, studies)], json_output)
            return
        jobs = jobs_of_archive(archive, ask, ledger, studies)
        totals = score_films(jobs, ledger, in_flight=in_flight, every=every if watch else None, say=pacs.say)
    pacs.conclude(totals, json_output)


def _list(uids: list[str], json_output: bool) -> None:
    if json_output:
        print(json.dumps(uids))
        return
    for uid in uids:
        print(uid)
    pacs.say(f"{len(uids):,} films would be answered")


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
