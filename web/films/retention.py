"""Deletion of films: on request, after a number of days, and of what a killed process left behind.

A person's deletion hides films at once, by one UPDATE, and can be undone for a few seconds; the queue's worker removes
them then, all films of one deletion in one transaction. So no page has to stay open, and nothing is deleted by halves.
"""

import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from accounts.models import AuditEntry, User
from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from project import erasing

from films import patients, storage
from films.models import Film

SWEEP_AFTER_SECONDS = 3600.0
"""A younger folder may belong to an upload that is on its way."""
UNDO_SECONDS = 10
_GRACE_SECONDS = 2
"""An undo that is sent in the last second still arrives in time."""
_AT_ONCE = 200


@dataclass(frozen=True)
class Deletion:
    """Films that were deleted together and can be had back.

    Attributes:
        deleted_at: When, which names the deletion.
        count: Number of films.
        seconds: How long it can still be undone.
    """

    deleted_at: datetime
    count: int
    seconds: int


def delete(owner: User, film_ids: Iterable[UUID]) -> list[UUID]:
    """Delete a person's films; `undo` brings them back until they are removed. Those that were there."""
    with transaction.atomic():
        films = Film.objects.select_for_update().filter(owner=owner, pk__in=list(film_ids)).order_by("pk")
        deleted = list(films.values_list("pk", flat=True))
        Film.objects.filter(pk__in=deleted).update(deleted_at=timezone.now())
    return deleted


def undo(owner: User, deleted_at: datetime) -> list[UUID]:
    """Bring back what was deleted then: all of it, or nothing if it is removed already."""
    with transaction.atomic():
        films = Film.with_deleted.select_for_update().filter(owner=owner, deleted_at=deleted_at).order_by("pk")
        film_ids = list(films.values_list("pk", flat=True))
        Film.with_deleted.filter(pk__in=film_ids).update(deleted_at=None)
    return film_ids


def deletions(owner: User) -> list[Deletion]:
    """What can be undone, the latest first; one query."""
    now = timezone.now()
    films = Film.with_deleted.filter(owner=owner, deleted_at__gt=now - timedelta(seconds=UNDO_SECONDS))
    rows = films.values_list("deleted_at").annotate(Count("pk")).order_by("-deleted_at")
    return [Deletion(at, count, math.ceil(UNDO_SECONDS - (now - at).total_seconds())) for at, count in rows]


def remove_deleted() -> int:
    """Remove deleted films that nobody wanted back in time; how many."""
    before = timezone.now() - timedelta(seconds=UNDO_SECONDS + _GRACE_SECONDS)
    due = Film.with_deleted.filter(deleted_at__lt=before).order_by().values_list("owner", "deleted_at").distinct()
    count = 0
    for owner_id, deleted_at in list(due):
        films = Film.with_deleted.filter(owner=owner_id, deleted_at=deleted_at)
        with transaction.atomic():
            # In the same order as `undo` locks them: whichever comes first has all of them.
            rows = list(films.select_for_update().order_by("pk").values_list("pk", "patient"))
            Film.with_deleted.filter(pk__in=[film_id for film_id, _ in rows]).delete()
            patients.tidy(patient_id for _, patient_id in rows)
        for film_id, _ in rows:
            storage.remove(film_id)
        count += len(rows)
    if count:
        transaction.on_commit(erasing.empty_log)
    return count


def remove_films(owner_id: int | None, film_ids: Iterable[UUID]) -> list[UUID]:
    """Delete films for good, rows first: their files go as soon as the rows are gone for good.

    Args:
        owner_id: The only owner whose films are deleted; None for any.
        film_ids: The films to delete.

    Returns:
        Those that were there; of two that delete the same film at once, one gets it.
    """
    deleted = []
    for film_id in film_ids:
        films = Film.objects.filter(pk=film_id)
        if owner_id is not None:
            films = films.filter(owner_id=owner_id)
        with transaction.atomic():
            film = films.select_for_update().first()
            if film is None:
                continue
            # The row goes first: what is cut off here leaves a folder without a row, which `sweep` removes.
            films.delete()
            patients.tidy([film.patient_id])
        storage.remove(film_id)
        deleted.append(film_id)
    if deleted:
        transaction.on_commit(erasing.empty_log)
    return deleted


def delete_expired() -> int:
    """Delete films that are older than settings.RETENTION_DAYS; 0 keeps them."""
    if not settings.RETENTION_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
    count = 0
    while film_ids := list(Film.objects.filter(uploaded_at__lt=before).values_list("pk", flat=True)[:_AT_ONCE]):
        deleted = remove_films(None, film_ids)
        AuditEntry.objects.bulk_create(
            AuditEntry(action="delete", film_id=film_id, detail=f"after {settings.RETENTION_DAYS} days")
            for film_id in deleted
        )
        count += len(deleted)
    return count


def sweep(older_than_seconds: float = SWEEP_AFTER_SECONDS) -> int:
    """Delete folders of films without a row: of uploads and deletions that were cut off."""
    count = 0
    for group in storage.groups():
        old = [folder for folder in group.iterdir() if _is_old(folder, older_than_seconds)]
        with_rows = set(Film.with_deleted.filter(pk__in=[folder.name for folder in old]).values_list("pk", flat=True))
        for folder in old:
            if UUID(folder.name) not in with_rows:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count


def _is_old(folder: Path, seconds: float) -> bool:
    try:
        UUID(folder.name)
        return time.time() - folder.stat().st_mtime >= seconds
    except (ValueError, FileNotFoundError):
        return False  # not ours, or deleted at this moment
