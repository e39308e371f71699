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
    films = Film.objects.filter(owner=owner)
    # Readings are sought before films, by their own indexes: a person may have ten thousand films, and few that wait.
    queued = Q(readings__state=Reading.State.QUEUED)
    waiting = (
        films.filter(pk__in=Reading.objects.filter(state=Reading.State.QUEUED).values("film"))
        .values_list("pk")
        .annotate(
            asked_at=Min("readings__asked_at", filter=queued),
            away=Count("readings", filter=queued & Q(readings__error_code=AWAY)),
        )
    )
    rows = list(waiting)
    since = min([*([since] if since else []), *(asked_at for _, asked_at, _ in rows)], default=None)
    if since is None:
        return Progress()
    asked = films.filter(pk__in=Reading.objects.filter(asked_at__gte=since).values("film"))
    refused = Q(state=Film.State.REFUSED)
    counts = asked.aggregate(total=Count("pk"), failures=Count("pk", filter=refused))
    failed = asked.filter(refused).order_by("-uploaded_at", "pk")[:_NAMED] if counts["failures"] else ()
    is_away = any(away for _, _, away in rows)
    return Progress(since=since, waiting=len(rows), is_away=is_away, failed=tuple(failed), **counts)
