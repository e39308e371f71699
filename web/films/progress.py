"""Progress of the films that are being read, for a page that shows it."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from django.db.models import Count, Min, Q

from films.asking import AWAY
from films.models import Film, Reading

_NAMED = 3


@dataclass(frozen=True)
class Progress:
    """State of a person's films that were sent or asked about again since a moment.

    Attributes:
        since: The moment; None where there is nothing to tell.
        total: Number of films.
        waiting: Those that a model is still asked about.
        is_away: Whether the server that reads films cannot be reached.
        failures: Number of films that got no answer.
        failed: The latest of these.
    """

    since: datetime | None = None
    total: int = 0
    waiting: int = 0
    is_away: bool = False
    failures: int = 0
    failed: tuple[Film, ...] = ()

    @property
    def done(self) -> int:
        """Films that are not waited for any more."""
        return self.total - self.waiting


def progress(owner: User, since: datetime | None = None) -> Progress:
    """Progress since the oldest question without an answer or an earlier moment; one query where nothing waits."""
    asked = Reading.objects.filter(film__owner=owner, film__deleted_at=None)
    queued = asked.filter(state=Reading.State.QUEUED).aggregate(
        films=Count("film", distinct=True), since=Min("asked_at"), away=Count("pk", filter=Q(error_code=AWAY))
    )
    since = min(filter(None, (since, queued["since"])), default=None)
    if since is None:
        return Progress()
    film_ids = asked.filter(asked_at__gte=since).values("film")
    failed = Film.objects.filter(owner=owner, state=Film.State.REFUSED, pk__in=film_ids)
    return Progress(
        since=since,
        total=film_ids.distinct().count(),
        waiting=queued["films"],
        is_away=queued["away"] > 0,
        failures=failed.count(),
        failed=tuple(failed.order_by("-uploaded_at", "pk")[:_NAMED]),
    )
