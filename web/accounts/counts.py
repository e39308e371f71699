"""Counts for staff: numbers, never films."""

from typing import Any

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from films.models import Film, Reading

from accounts.models import REVIEW_PERMISSION, User


def people() -> list[Any]:
    """Per account: pk, username, is_active, is_staff, reviewer, last_login, films, bytes, last_upload."""
    codename = REVIEW_PERMISSION.partition(".")[2]
    return list(
        User.objects.values("pk", "username", "is_active", "is_staff", "last_login")
        .annotate(
            reviewer=Exists(
                User.user_permissions.through.objects.filter(user=OuterRef("pk"), permission__codename=codename)
            ),
            films=Count("film"),
            bytes=Coalesce(Sum("film__bytes"), 0),
            last_upload=Max("film__uploaded_at"),
        )
        .order_by("username")
    )


def queue() -> dict[str, Any]:
    """Films waiting, answered and refused, and since when the oldest question waits."""
    states = Film.State
    counts = Film.objects.aggregate(**{state: Count("pk", filter=Q(state=state)) for state in states.values})
    waiting = Reading.objects.filter(state=Reading.State.QUEUED)
    return counts | {"readings": waiting.count(), "oldest_waiting": waiting.aggregate(at=Min("asked_at"))["at"]}


def models() -> list[Any]:
    """Per model and version: how many answers."""
    answered = Reading.objects.filter(state=Reading.State.ANSWERED)
    return list(
        answered.values("model", "model_version").annotate(answered=Count("pk")).order_by("model", "model_version")
    )
