"""The queue: questions to the server are rows, asked at once, or later by `manage.py answer_films`.

A question is leased before it is asked, by one conditional UPDATE, and answered by another that needs the same lease.
So it is answered once, however many processes work and whenever one of them dies: a lease runs out.
"""

import logging
import threading
import uuid
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from project import erasing

from films import asking, leading, patients, reachable, storage
from films.asking import READ_SECONDS, Outcome, ask
from films.models import FACTS, Film, Reading
from films.readings import FilmReadings, readings_of

# Longer than a request may take: no second process sends it while the first still waits.
LEASE = timedelta(seconds=READ_SECONDS + 30)
PATIENCE_SECONDS = 3.0
"""Time that an upload waits for its answers; later ones are stored when they come."""
MAX_ATTEMPTS = 6
"""After so many answers that make no sense, a question is given up; an unreachable or busy server is asked for ever."""
TOO_COSTLY = "too_costly"
"""Code of the server's refusal of a film that takes too long to decode."""
_LONGEST_PAUSE_SECONDS = 30
_THREADS = 12

logger = logging.getLogger(__name__)


def enqueue(film: Film, *, leased: bool = False) -> list[Reading]:
    """Ask every model, except those that are still being asked, and those that the film has been too costly for.

    Args:
        film: The film to read; its row is locked or new.
        leased: The caller asks at once; nobody else does before the lease runs out.
    """
    passed_over = Q(state=Reading.State.QUEUED) | Q(error_code=TOO_COSTLY)  # the same bytes cost the same again
    waiting = set(film.readings.filter(passed_over).values_list("model", flat=True))
    lease = {"lease": uuid.uuid4(), "leased_until": timezone.now() + LEASE, "attempts": 1} if leased else {}
    readings = [Reading(film=film, model=model, **lease) for model in settings.MODELS if model not in waiting]
    return Reading.objects.bulk_create(readings)


def save_changes(film: Film, names: Collection[str]) -> None:
    """Save these columns of a film; new facts about the patient are new questions, asked at once.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    with transaction.atomic():
        if not Film.objects.select_for_update().filter(pk=film.pk).exists():
            raise storage.Gone("deleted in another tab")
        before = Film.objects.values_list("patient", flat=True).get(pk=film.pk)
        film.save(update_fields=names)  # no others: an answer may come in at the same time
        patients.tidy([before])
        readings = enqueue(film, leased=True) if set(names) & set(FACTS) else []
        transaction.on_commit(erasing.empty_log)
    if readings:
        answer_now(film, readings, storage.read(storage.original(film.id)))


def read_again(film: Film, *, force: bool) -> bool:
    """Ask every model again, although the gate refuses the film if `force` says so; whether anybody is asked.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    film.force = film.force or force
    with transaction.atomic():
        if not Film.objects.filter(pk=film.pk).update(force=film.force):  # which locks the row
            raise storage.Gone("deleted in another tab")
        readings = enqueue(film, leased=True)
    if readings:
        answer_now(film, readings, storage.read(storage.original(film.id)))
    return bool(readings)


def answer_now(film: Film, readings: list[Reading], data: bytes) -> None:
    """Ask about leased readings side by side, and wait for the answers, but not for long.

    The film is kept by now, whatever becomes of them: what cannot be stored is asked for again when its lease runs out.
    """
    futures: dict[Future[Outcome], Reading] = {}
    for reading in readings:
        futures[_pool().submit(ask, reading.model, data, film.options)] = reading
    done, late = wait(futures, PATIENCE_SECONDS)
    try:
        with transaction.atomic():  # one wait for the disk instead of one for each
            for future in done:
                store(futures[future], future.result())
    except (DatabaseError, OSError) as error:
        logger.warning("answers about film %s could not be stored: %s", film.pk, error)
    for future in late:
        future.add_done_callback(partial(_store_late, futures[future], threading.current_thread()))


def answer_due(limit: int) -> tuple[int, bool]:
    """Ask about readings whose time has come.

    Returns:
        How many were asked about, and whether the server was there for all of them.
    """
    leased = [reading for reading in due(limit) if take(reading)]
    futures = {_pool().submit(_ask_stored, reading): reading for reading in leased}
    reached = True
    for future, reading in futures.items():
        outcome = future.result()
        reached = reached and not outcome.is_server_away
        store(reading, outcome)
    return len(leased), reached


def look_for_server() -> None:
    """Look whether the server is there; where it is back, what waited for it is due at once."""
    if asking.is_there() and reachable.note_back():
        waiting = Reading.objects.filter(state=Reading.State.QUEUED, error_code__in=(asking.AWAY, asking.BUSY))
        waiting.update(next_try_at=timezone.now(), attempts=0)


def due(limit: int) -> list[Reading]:
    """The next readings in line, with their films."""
    now = timezone.now()
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    line = Reading.objects.filter(free, state=Reading.State.QUEUED, next_try_at__lte=now, film__deleted_at=None)
    return list(line.select_related("film").order_by("next_try_at", "pk")[:limit])


def take(reading: Reading) -> bool:
    """Lease a reading; False if somebody else was faster."""
    now, lease = timezone.now(), uuid.uuid4()
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    # The condition is part of the UPDATE: of two processes at once, one changes the row and the other none.
    taken = Reading.objects.filter(free, pk=reading.pk, state=Reading.State.QUEUED).update(
        lease=lease, leased_until=now + LEASE, attempts=F("attempts") + 1
    )
    reading.lease, reading.attempts = lease, reading.attempts + 1
    return taken == 1


def store(reading: Reading, outcome: Outcome) -> bool:
    """Store the outcome of a leased reading.

    Returns:
        False if the lease has passed to another process, the film is deleted, or the patient's facts changed meanwhile:
        then it stays in the queue.
    """
    if outcome.answer is None:
        return _release(reading, **_failure(reading, outcome))
    maps = uuid.uuid4()
    # Files first: a row never names maps that are not there.
    for index, content in enumerate(outcome.maps):
        storage.write(storage.map_file(reading.film_id, maps, index), content)
    answer = outcome.answer
    written = _release(
        reading, outcome.facts, state=Reading.State.ANSWERED, answered_at=timezone.now(), answer=outcome.row,
        facts={name: text for name, text in outcome.facts.items() if name in FACTS}, maps=maps,
        label=answer.label[:100], triage=answer.triage or "",
        model_version=answer.model.version[:40], card_sha256=answer.model.card_sha256[:64],
        error_code="", error_message="",
    )  # fmt: skip
    if not written:
        storage.remove_maps(reading.film_id, maps)
        if not Film.with_deleted.filter(pk=reading.film_id).exists():
            storage.remove(reading.film_id)  # the maps above made its folder again
    return written


def _failure(reading: Reading, outcome: Outcome) -> dict[str, Any]:
    """Columns of a failed reading: refused for good, or due again after a pause that grows."""
    failures = reading.failures + (not outcome.is_server_away)
    final = outcome.is_final or failures >= MAX_ATTEMPTS
    pause = timedelta(seconds=min(2 ** min(reading.attempts - 1, 10), _LONGEST_PAUSE_SECONDS))
    return {
        "state": Reading.State.REFUSED if final else Reading.State.QUEUED,
        "next_try_at": timezone.now() + pause,
        "failures": failures,
        "error_code": outcome.code[:40],
        "error_message": outcome.message,
    }


def _release(reading: Reading, sent: dict[str, str] | None = None, **changes: Any) -> bool:
    """End a lease and write `changes`, if the lease is still this one and the facts `sent` still hold."""
    held = Reading.objects.filter(pk=reading.pk, state=Reading.State.QUEUED, lease=reading.lease)
    with transaction.atomic():
        # A deleted film is answered as well: it may come back.
        film = Film.with_deleted.select_for_update().filter(pk=reading.film_id).first()
        if film is None:
            return False
        if sent is not None and sent != film.options:
            held.update(lease=None, leased_until=None, next_try_at=timezone.now())
            return False
        written = held.update(lease=None, leased_until=None, **changes) == 1
        if written:
            summarise(film)
        return written


def summarise(film: Film) -> None:
    """Repeat the main answer in the film's row, which is locked."""
    readings = readings_of(film)
    film.state, main = _state(readings), readings.main
    film.error_message = readings.refused[0].error_message if film.state == Film.State.REFUSED else ""
    columns = leading.columns_of(main) if main else {}
    for name, value in columns.items():
        setattr(film, name, value)
    # These columns alone: label, note and facts may be edited at the same time.
    film.save(update_fields=("state", "error_message", *columns))


def _state(readings: FilmReadings) -> Film.State:
    if readings.main:
        return Film.State.ANSWERED
    return Film.State.WAITING if readings.waiting else Film.State.REFUSED


def _ask_stored(reading: Reading) -> Outcome:
    """Ask about a film whose bytes are in the store."""
    try:
        data = storage.original(reading.film_id).read_bytes()
    except OSError as error:
        return Outcome(code="file_missing", message=f"the film's file cannot be read: {error.strerror}", is_final=True)
    return ask(reading.model, data, reading.film.options)


def _store_late(reading: Reading, asker: threading.Thread, future: "Future[Outcome]") -> None:
    """Store an answer that comes after the upload's reply, in a thread of the pool; if it fails, the queue tries again.

    An answer that has just come runs this in the thread that asked for it, which keeps its connection.
    """
    try:
        store(reading, future.result())
    except (DatabaseError, OSError):
        logger.exception("a late answer could not be stored; it is asked for again")
    finally:
        if threading.current_thread() is not asker:
            connection.close()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="ask")
