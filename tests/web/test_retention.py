"""Deleting after so many days, and sweeping up."""

import io
import os
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from accounts.models import AuditEntry
from django.core.management import call_command
from django.utils import timezone
from films import retention, storage
from films.models import Film
from web_films import film_bytes


def test_old_films_are_deleted(film: Film, send: Any, settings: Any) -> None:
    young = send(film_bytes(1)).json()["id"]
    Film.objects.filter(pk=film.id).update(uploaded_at=timezone.now() - timedelta(days=31))
    out = io.StringIO()
    settings.RETENTION_DAYS = 0
    call_command("delete_old_films", stdout=out)
    assert Film.objects.count() == 2
    settings.RETENTION_DAYS = 30
    call_command("delete_old_films", stdout=out)
    assert out.getvalue().splitlines()[1] == "1 films deleted, 0 left-over folders removed"
    assert [str(film.id) for film in Film.objects.all()] == [young]
    assert not storage.folder(film.id).exists()
    assert AuditEntry.objects.get(action="delete").detail == "after 30 days"


def test_left_over_folders_are_swept_up_when_they_are_old(film: Film) -> None:
    old, young = uuid4(), uuid4()
    for film_id in (old, young):
        storage.write(storage.original(film_id), b"x")
    other = storage.folder(old).with_name("not ours")
    other.mkdir()
    long_ago = time.time() - retention.SWEEP_AFTER_SECONDS - 1
    for folder in (storage.folder(old), storage.folder(film.id), other):
        os.utime(folder, (long_ago, long_ago))
    assert retention.sweep() == 1
    assert [storage.folder(key).exists() for key in (old, young, film.id)] == [False, True, True]
    assert other.exists()


def test_files_are_for_this_user_alone(film: Film) -> None:
    folder = storage.folder(film.id)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
