"""Films of an archive answered, and the objects of the answers stored there, each film once.

A film's turn is: fetch it, have it answered, make the objects, ask the archive which of them it has, store the others,
note it in the ledger. A kill anywhere in between repeats the turn, and as the objects' identifiers follow from the film
and the model, the archive's own list decides what is stored.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.dataset import Dataset

from osteolens.client import KeyRefused, ServerBusy
from osteolens.dicomweb.answering import Ask, make
from osteolens.dicomweb.archive import Archive, ArchiveRefused, Place
from osteolens.dicomweb.ledger import Ledger
from osteolens.dicomweb.objects import MAKER
from osteolens.dicomweb.source import open_source
from osteolens.errors import ClientError, InputError, RequestRefused, ServerUnreachable, UnusableImage
from osteolens.films import dicom
from osteolens.films.dicom_header import other_than_frontal_knee

Studies = Callable[[], Iterable[tuple[str, int | None]]]
"""Lists studies: identifier, and the number of their objects where it is known."""

Say = Callable[[str], None]
_OF_THE_FILM = frozenset({400, 413, 415, 422})


class Destination(Protocol):
    """Where objects go."""

    def present(self, study: str) -> set[str]:
        """Identifiers of the objects that a study has there already."""

    def store(self, study: str, objects: list[Dataset]) -> None:
        """Store objects of a study."""


@dataclass
class Totals:
    """Films by what became of them in this call: answered, on the dead-letter list, failed and to be tried again."""

    answered: int = 0
    dead: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.answered:,} films answered, {self.dead:,} on the dead-letter list, {self.failed:,} failed"


def turn(data: bytes, ask: Ask, destination: Destination) -> None:
    """Answer a film and store what its study does not have yet.

    Raises:
        InputError: It cannot be answered: no film, damaged, not a knee from the front.
        ClientError: Server or destination.
    """
    film = open_source(data)
    if film.header.get("Manufacturer") == MAKER:
        return
    reasons = other_than_frontal_knee(film.header)
    if reasons:
        raise UnusableImage("; ".join(reasons), "send a knee film from the front")
    made = make(film, ask(data))
    study = str(film.header.StudyInstanceUID)
    present = destination.present(study)
    missing = [one for one in made if str(one.SOPInstanceUID) not in present]
    if missing:
        destination.store(study, missing)


@dataclass
class Book:
    """Notes what becomes of films, in the ledger and in the totals."""

    ledger: Ledger
    totals: Totals = field(default_factory=Totals)

    def note(self, uid: str, error: BaseException | None) -> None:
        """Note a turn's end.

        Raises:
            BaseException: The error, where it concerns every film: server or archive down, key or account refused.
        """
        if error is None:
            self.ledger.settle(uid)
            self.totals.answered += 1
        elif isinstance(error, InputError) or _is_about_the_film(error):
            self.ledger.bury(uid, str(error))
            self.totals.dead += 1
        elif isinstance(error, ClientError) and not _concerns_every_film(error):
            if self.ledger.fail(uid, str(error)):
                self.totals.dead += 1
            else:
                self.totals.failed += 1
        else:
            raise error


def score(
    archive: Archive, ask: Ask, ledger: Ledger, studies: Studies, *, in_flight: int, every: float | None, say: Say
) -> Totals:
    """Answer all films of some studies that the ledger does not have yet.

    Args:
        archive: Where the films are and the objects go.
        ask: Answers a film, in several threads.
        ledger: What was done before.
        studies: Lists the studies, each time it is called.
        in_flight: Films under way at a time.
        every: Seconds between looks for new films, without end; None: one look.
        say: Prints a line for people.

    Raises:
        ClientError: Server or archive are down (not with `every`, which waits for them), or refuse key or account.
    """
    book, waiting = Book(ledger), False
    with dicom.unchecked():  # once for all threads: the setting is the process's
        while True:
            before = str(book.totals)
            try:
                _look(archive, ask, book, studies, in_flight)
                waiting = False
            except ClientError as error:
                if every is None or not _passes_by_itself(error):
                    raise
                if not waiting:
                    say(f"{error}; waiting for it")
                waiting = True
            if every is None:
                return book.totals
            if str(book.totals) != before:
                say(str(book.totals))
            time.sleep(every)


def pending(archive: Archive, ledger: Ledger, studies: Studies) -> Iterable[Place]:
    """Every film that `score` would answer. A study without any is closed until it has another number of objects."""
    for study, objects in studies():
        if ledger.is_unchanged(study, objects):
            continue
        films = [film for film in archive.films(study) if not ledger.is_settled(film.instance)]
        yield from films
        if not films:
            ledger.close_study(study, objects)


def _look(archive: Archive, ask: Ask, book: Book, studies: Studies, in_flight: int) -> None:
    under_way: dict[Future[None], str] = {}

    def note_some() -> None:
        for done in wait(under_way, return_when=FIRST_COMPLETED).done:
            book.note(under_way.pop(done), done.exception())

    with ThreadPoolExecutor(in_flight) as pool:
        for place in pending(archive, book.ledger, studies):
            while len(under_way) >= in_flight:
                note_some()
            under_way[pool.submit(_turn_of, archive, ask, place)] = place.instance
        while under_way:
            note_some()


def _turn_of(archive: Archive, ask: Ask, place: Place) -> None:
    turn(archive.fetch(place), ask, archive)


def _is_about_the_film(error: BaseException) -> bool:
    """Whether OsteoLens' server refused the film itself."""
    return (
        isinstance(error, RequestRefused)
        and not isinstance(error, ArchiveRefused | KeyRefused)
        and error.status in _OF_THE_FILM
    )


def _concerns_every_film(error: ClientError) -> bool:
    if isinstance(error, ArchiveRefused):
        return error.status in (401, 403)
    about_all = isinstance(error, ServerUnreachable | ServerBusy | KeyRefused)
    return about_all or (isinstance(error, RequestRefused) and error.status == 404)


def _passes_by_itself(error: ClientError) -> bool:
    return isinstance(error, ServerUnreachable | ServerBusy) or (
        isinstance(error, ArchiveRefused) and error.status >= 500
    )
