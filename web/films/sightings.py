"""Record of who has seen a label of the model's answer: pages, lists, files and replies that show one note it here."""

from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import UUID

from accounts.models import User

from films.models import Film, Sighting

_AT_ONCE = 200


def note(user: User, film_ids: Iterable[UUID]) -> None:
    """Note that this person is shown labels of these films; what is noted already costs one query and no write."""
    wanted = set(film_ids)
    if not wanted:
        return
    noted = Sighting.objects.filter(user=user, film__in=wanted).values_list("film_id", flat=True)
    new = [Sighting(user=user, film_id=film_id) for film_id in wanted - set(noted)]
    if new:
        Sighting.objects.bulk_create(new, ignore_conflicts=True)  # another tab may be faster


def showing(user: User, films: Iterable[Film]) -> Iterator[Film]:
    """The films as they are, for a list that shows their labels: noted before they leave, many at once."""
    rest = iter(films)
    while batch := list(islice(rest, _AT_ONCE)):
        note(user, (film.pk for film in batch if film.label))
        yield from batch


def has_seen(user: User, film: Film) -> bool:
    """Whether this person was shown a label of this film."""
    return Sighting.objects.filter(user=user, film=film).exists()
