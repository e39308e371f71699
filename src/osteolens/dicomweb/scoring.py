"""Films of an archive answered, and the objects of the answers stored there, each film once.

A film's turn is: fetch it, have it answered, make the objects, ask the archive which of them it has, store the others,
note it in the ledger. A kill anywhere in between repeats the turn, and as the objects' identifiers follow from the film
and the model, the archive's own list decides what is stored.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from pydicom.dataset import Dataset

from osteolens.client import KeyRefused, ServerBusy
from osteolens.dicomweb.answering import Ask, make
from osteolens.dicomweb.archive import Archive, ArchiveRefused, Place, is_radiograph
from osteolens.dicomweb.ledger import Ledger
from osteolens.dicomweb.source import MAKER, open_source
from osteolens.errors import ClientError, InputError, RequestRefused, ServerUnreachable, UnusableImage
from osteolens.films import dicom
from osteolens.films.dicom_header import other_than_frontal_knee

Jobs = Callable[[], Iterable[tuple[str, Callable[[], None]]]]
"""Looks for films: the identifier of each, and its turn."""

Say = Callable[[str], None]
Studies = Callable[[], Iterable[tuple[str, int | None]]]
"""Lists studies: identifier, and the number of their objects where it is known."""

_OF_THE_FILM = frozenset({400, 413, 415, 422})


class Destination(Protocol):
    """Where objects go."""

    def present(self, study: str) -> set[str]:
        """Identifiers of the objects that a study has there already."""

    def store(self, study: str, objects: Sequence[Dataset]) -> None:
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
    reasons = [reason.message for reason in other_than_frontal_knee(film.header)]
    if not is_radiograph(str(film.header.SOPClassUID), str(film.header.get("Modality", ""))):
        reasons.append("the header says that this capture is no radiograph")
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


def score(jobs: Jobs, ledger: Ledger, *, in_flight: int, every: float | None, say: Say) -> Totals:
    """Answer every film that a look brings.

    Args:
        jobs: Called for each look. A film's turn runs in any thread.
        ledger: What was done before, and is done now.
        in_flight: Films under way at a time.
        every: Seconds between looks, without end; None: one look.
        say: Prints a line for people.

    Raises:
        ClientError: Server or archive are down (not with `every`, which waits for them), or refuse key or account.
    """
    book, waiting = Book(ledger), False
    with dicom.unchecked():  # once for all threads: the setting is the process's
        while True:
            before = str(book.totals)
            try:
                _look(jobs, book, in_flight)
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


def jobs_of_archive(archive: Archive, ask: Ask, ledger: Ledger, studies: Studies) -> Jobs:
    """The films of an archive's studies."""

    def take(place: Place) -> None:
        turn(archive.fetch(place), ask, archive)

    return lambda: ((place.instance, partial(take, place)) for place in pending(archive, ledger, studies))


def pending(archive: Archive, ledger: Ledger, studies: Studies) -> Iterator[Place]:
    """Every film that is not settled. A study without any is closed until it has another number of objects."""
    for study, objects in studies():
        if ledger.is_unchanged(study, objects):
            continue
        films = [film for film in archive.films(study) if not ledger.is_settled(film.instance)]
        yield from films
        if not films:
            ledger.close_study(study, objects)


def _look(jobs: Jobs, book: Book, in_flight: int) -> None:
    under_way: dict[Future[None], str] = {}

    def note_some() -> None:
        for done in wait(under_way, return_when=FIRST_COMPLETED).done:
            book.note(under_way.pop(done), done.exception())

    with ThreadPoolExecutor(in_flight) as pool:
        for uid, job in jobs():
            while len(under_way) >= in_flight:
                note_some()
            under_way[pool.submit(job)] = uid
        while under_way:
            note_some()


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
