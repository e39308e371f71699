"""Answers on their way to the archive: a queue of rows, worked by `manage.py answer_films` beside the readings.

The app does not know whose film it is. So the film is looked up in the archive by its study's date and by keyed hashes
of its identifiers, and the objects are made from the archive's own copy, into the patient and the study that it has
there. Their identifiers follow from film and model: what is there already is not sent again.
"""

import logging
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from films.models import Delivery, Film, Reading
from films.readings import FilmReadings
from osteolens.errors import OsteoLensError, RequestRefused, ServerUnreachable

if TYPE_CHECKING:
    from osteolens.dicomweb.archive import Archive, Place

LEASE = timedelta(minutes=15)
"""Longer than fetching and storing may take; sending twice doubles nothing."""
_LONGEST_PAUSE_SECONDS = 600

logger = logging.getLogger(__name__)


class NotInArchive(OsteoLensError):
    """The archive does not have the film."""


def can_send(film: Film) -> bool:
    """Whether there is an archive, and the film came from one."""
    return bool(settings.DICOMWEB_URL) and hasattr(film, "origin") and bool(film.origin.instance)


def enqueue(reading: Reading) -> Delivery:
    """Put an answer in line, again if it failed; one that was sent or waits stays as it is."""
    with transaction.atomic():
        delivery, created = Delivery.objects.select_for_update().get_or_create(reading=reading)
        if not created and delivery.state == Delivery.State.FAILED:
            delivery.state, delivery.attempts, delivery.message = Delivery.State.QUEUED, 0, ""
            delivery.next_try_at = delivery.changed_at = timezone.now()
            delivery.save()
    return delivery


def deliveries_of(readings: FilmReadings) -> dict[str, Delivery]:
    """Deliveries of a film's current answers, by model; one query."""
    rows = Delivery.objects.filter(reading__in=readings.current).select_related("reading")
    return {delivery.reading.model: delivery for delivery in rows}


def deliver_due(limit: int) -> int:
    """Send answers whose time has come; how many were tried."""
    now = timezone.now()
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    due = Delivery.objects.filter(
        free, state=Delivery.State.QUEUED, next_try_at__lte=now, reading__film__deleted_at=None
    )
    count = 0
    for delivery in due.select_related("reading__film__origin").order_by("next_try_at", "pk")[:limit]:
        held = Delivery.objects.filter(free, pk=delivery.pk, state=Delivery.State.QUEUED)
        if held.update(leased_until=timezone.now() + LEASE, attempts=F("attempts") + 1) != 1:
            continue  # another worker was faster
        count += 1
        delivery.attempts += 1
        _try(delivery)
    return count


def _try(delivery: Delivery) -> None:
    try:
        _send(delivery.reading)
        _end(delivery, Delivery.State.SENT, "")
    except OsteoLensError as error:
        # The archive's address is nobody's business on a page.
        message = str(error).replace(f" at {settings.DICOMWEB_URL}", "").replace(settings.DICOMWEB_URL, "the archive")
        _end(delivery, Delivery.State.QUEUED if _passes_by_itself(error) else Delivery.State.FAILED, message)
    except Exception as error:  # noqa: BLE001 - whatever it is, the row says so and the queue goes on
        # Without its text and traceback, which may repeat the header of the archive's film.
        logger.error("the objects of reading %s could not be made: %s", delivery.reading_id, type(error).__name__)
        _end(delivery, Delivery.State.FAILED, "the objects could not be made; the log says when")


def _end(delivery: Delivery, state: Delivery.State, message: str) -> None:
    pause = min(2**delivery.attempts, _LONGEST_PAUSE_SECONDS)
    now = timezone.now()
    Delivery.objects.filter(pk=delivery.pk).update(
        state=state, message=message, leased_until=None, changed_at=now, next_try_at=now + timedelta(seconds=pause)
    )


def _send(reading: Reading) -> None:
    """Make the objects from the archive's copy of the film, and store those that are missing there.

    Raises:
        OsteoLensError: Why that cannot be done.
    """
    from films.dicom_objects import answer_with
    from osteolens.dicomweb.answering import make
    from osteolens.dicomweb.source import open_source

    archive = _archive()
    place = _find(archive, reading.film)
    made = make(open_source(archive.fetch(place)), answer_with(reading, reading.label))
    present = archive.present(place.study)
    missing = [one for one in made if str(one.SOPInstanceUID) not in present]
    if missing:
        archive.store(place.study, missing)


def _find(archive: "Archive", film: Film) -> "Place":
    """Where the archive has the film.

    Raises:
        NotInArchive: It does not have it.
        ClientError: It cannot be asked.
    """
    from osteolens.dicomweb.pseudonyms import hashed

    key, origin = settings.PSEUDONYM_KEY, film.origin
    day = {"StudyDate": f"{origin.study_day:%Y%m%d}"} if origin.study_day else {}
    for study, _ in archive.studies(day):
        if hashed(key, study) != origin.study:
            continue
        for place in archive.films(study):
            if hashed(key, place.instance) == origin.instance:
                return place
    when = f" among those of {origin.study_day:%Y-%m-%d}" if origin.study_day else ""
    raise NotInArchive(f"the archive does not have this film{when}: send it there first, then try again")


@cache
def _archive() -> "Archive":
    """The configured archive."""
    from requests.auth import HTTPBasicAuth

    from osteolens.dicomweb.archive import Archive, Bearer

    user, password, token = settings.DICOMWEB_USER, settings.DICOMWEB_PASSWORD, settings.DICOMWEB_TOKEN
    credentials = HTTPBasicAuth(user.encode(), password.encode()) if user else Bearer(token) if token else None
    return Archive(settings.DICOMWEB_URL, credentials, settings.DICOMWEB_CA_FILE)


def _passes_by_itself(error: OsteoLensError) -> bool:
    """Whether the archive is down or busy; anything else a person has to look at."""
    if isinstance(error, RequestRefused):
        return error.status >= 500 or error.status == 429
    return isinstance(error, ServerUnreachable)
