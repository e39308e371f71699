"""Deletion of films: on request, after a number of days, and of what a killed process left behind."""

import shutil
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from accounts.models import AuditEntry
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from project import erasing

from films import patients, storage
from films.models import Film

SWEEP_AFTER_SECONDS = 3600.0
"""A younger folder may belong to an upload that is on its way."""
_AT_ONCE = 200


def delete_films(owner_id: int | None, film_ids: Iterable[UUID]) -> list[UUID]:
    """Delete films, rows first: their files go as soon as the rows are gone for good.

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
        deleted = delete_films(None, film_ids)
        AuditEntry.objects.bulk_create(
            AuditEntry(action="delete", film_id=film_id, detail=f"after {settings.RETENTION_DAYS} days")
            for film_id in deleted
        )
        count += len(deleted)
    return count


def sweep() -> int:
    """Delete folders of films without a row: of uploads and deletions that were cut off."""
    count = 0
    for group in storage.groups():
        old = [folder for folder in group.iterdir() if _is_old(folder)]
        with_rows = set(Film.objects.filter(pk__in=[folder.name for folder in old]).values_list("pk", flat=True))
        for folder in old:
            if UUID(folder.name) not in with_rows:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count


def _is_old(folder: Path) -> bool:
    try:
        UUID(folder.name)
        return time.time() - folder.stat().st_mtime > SWEEP_AFTER_SECONDS
    except (ValueError, FileNotFoundError):
        return False  # not ours, or deleted at this moment
