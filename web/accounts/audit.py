"""The audit log: who saw, exported, changed or deleted what, and who logged in or failed to."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import AuditEntry

AGENT, ADDRESS = "agent", "address"
"""Facts of a log-in in its session's data."""
SAME_LOOK, SAME_REFUSAL = timedelta(minutes=10), timedelta(minutes=1)


def record(request: HttpRequest, action: str, film_id: UUID | None = None, detail: str = "") -> None:
    """Write one line.

    Args:
        request: Request of the person who acts.
        action: One word or two: view, list, picture, thumbnail, map, download, export, delete, re-read, upload, review,
            refused, ...
        film_id: The film it was done to.
        detail: Further facts; never a label, a note or a file's name.
    """
    record_all(request, action, [film_id], detail)


def record_all(request: HttpRequest, action: str, film_ids: Iterable[UUID | None], detail: str = "") -> None:
    """Write a line for each film."""
    user = request.user if request.user.is_authenticated else None
    AuditEntry.objects.bulk_create(
        AuditEntry(
            user=user,
            user_name=user.get_username() if user else "",
            action=action,
            film_id=film_id,
            detail=detail[:300],
            address=address(request),
        )
        for film_id in film_ids
    )


def record_once(
    request: HttpRequest, action: str, film_id: UUID | None = None, detail: str = "", within: timedelta = SAME_LOOK
) -> None:
    """Write one line, unless the same is written already: a page asks for its pictures again and again.

    Args:
        request: Request of the person who acts.
        action: See `record`.
        film_id: See `record`.
        detail: See `record`.
        within: Time for which one line stands for all equal ones.
    """
    user = request.user if request.user.is_authenticated else None
    same = AuditEntry.objects.filter(film_id=film_id, user=user, action=action, detail=detail)
    if not same.filter(address=address(request), at__gte=timezone.now() - within).exists():
        record(request, action, film_id, detail)


def address(request: HttpRequest) -> str:
    """Address that a request came from; behind a proxy with TLS, the last address that the proxy wrote down."""
    # Addresses before the last come from the client, who may invent them.
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_TLS else ""
    return (forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", ""))[:45]


def connect() -> None:
    """Listen to log-ins, log-outs and failed attempts."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit")
    user_logged_out.connect(_logged_out, dispatch_uid="audit")
    user_login_failed.connect(_login_failed, dispatch_uid="audit")


def _logged_in(request: HttpRequest, user: Any, **_: object) -> None:
    request.session[AGENT] = request.META.get("HTTP_USER_AGENT", "")[:300]
    request.session[ADDRESS] = address(request)
    record_name(request, "log-in", user.get_username(), user, getattr(request, "logged_in_by", ""))


def _logged_out(request: HttpRequest, user: Any, **_: object) -> None:
    if user is not None:
        record_name(request, "log-out", user.get_username(), user)


def _login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:
    if request is not None:
        record_name(
            request, "failed log-in", str(credentials.get("username", "")), detail=credentials.get("step", "password")
        )


def record_name(request: HttpRequest, action: str, name: str, user: Any = None, detail: str = "") -> None:
    """Write one line about somebody who is not, or not yet, logged in."""
    # A failed log-in may carry any characters, also those that databases refuse.
    plain = name.replace("\0", "").encode("utf-8", "replace").decode()[:150]
    AuditEntry.objects.create(user=user, user_name=plain, action=action, detail=detail[:300], address=address(request))
