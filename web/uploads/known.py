"""Films that are uploaded again: the same film, unless the facts differ. Nothing typed is dropped."""

from collections.abc import Mapping
from typing import Any

from accounts.models import User
from django.db import models
from django.utils.translation import gettext, pgettext_lazy
from films.models import Film
from films.patients import fact_of, set_fact

from osteolens.errors import InputError

_SHOWN = 40
_NAMES = {
    "patient": pgettext_lazy("fact", "patient"),
    "side": pgettext_lazy("fact", "side"),
    "taken_on": pgettext_lazy("fact", "taken on"),
    "label_text": pgettext_lazy("fact", "label"),
    "note": pgettext_lazy("fact", "note"),
    "age": pgettext_lazy("fact", "age"),
    "sex": pgettext_lazy("fact", "sex"),
    "weight_kg": pgettext_lazy("fact", "weight kg"),
    "height_m": pgettext_lazy("fact", "height m"),
}


class IfKnown(models.TextChoices):
    """Choices for a known film that comes with other facts."""

    ASK = "ask", "refuse it and say what differs"
    SEPARATE = "separate", "keep both: a film of its own with these facts"
    UPDATE = "update", "give these facts to the film that is there"


class KnownFilm(InputError):
    """The same bytes are there with other facts.

    Args:
        film: The one that is there.
        facts: Fields of `Film` that came with the bytes now.
    """

    code = "known_film"
    status = 409

    def __init__(self, film: Film, facts: Mapping[str, Any]) -> None:
        differences = [(name, fact_of(film, name), value) for name, value in _differences(film, facts).items()]
        words = "; ".join(
            gettext("%(fact)s is %(there)s there and %(here)s here")
            % {"fact": _plain(name), "there": _shown(there), "here": _shown(here)}
            for name, there, here in differences
        )
        super().__init__(
            gettext("you have this film already as %(name)s, with other facts: %(differences)s")
            % {"name": _shown(film.name), "differences": words},
            gettext(
                "send it again with if_known=separate to keep both, or if_known=update to change the one that is there"
            ),
        )
        self.film = film
        self.differences = differences


def films_of(owner: User, sha256: str) -> list[Film]:
    """The films with these bytes, the first one first; also those that are deleted and may come back."""
    return list(
        Film.with_deleted.filter(owner=owner, sha256=sha256).select_related("owner", "patient").order_by("copy")
    )


def film_meant(films: list[Film], facts: Mapping[str, Any], if_known: str) -> Film | None:
    """Which of the films with the same bytes is meant.

    Args:
        films: Result of `films_of`.
        facts: Fields of `Film` that came with the bytes now; empty ones differ from nothing.
        if_known: Value of `IfKnown`.

    Returns:
        The film, which may still have other facts if `if_known` is `update`; None if a new one is to be made.

    Raises:
        KnownFilm: They have other facts, and nobody has said what is to be done.
    """
    if not films:
        return None
    if if_known == IfKnown.SEPARATE:  # sent twice it is still one film
        return next((film for film in films if all(fact_of(film, name) == facts[name] for name in facts)), None)
    for film in films:
        if not _differences(film, facts):
            return film
    if if_known == IfKnown.UPDATE:
        return films[0]
    raise KnownFilm(films[0], facts)


def take_over(film: Film, facts: Mapping[str, Any]) -> list[str]:
    """Set the facts that differ, without saving them; their names."""
    differences = _differences(film, facts)
    for name, value in differences.items():
        set_fact(film, name, value)
    return list(differences)


def _differences(film: Film, facts: Mapping[str, Any]) -> dict[str, Any]:
    # An empty field is no statement: it neither differs nor erases what is there.
    return {name: value for name, value in facts.items() if value not in (None, "") and value != fact_of(film, name)}


def _plain(name: str) -> str:
    return str(_NAMES.get(name, name.replace("_", " ")))


def _shown(value: Any) -> str:
    if value in (None, ""):
        return gettext("empty")
    text = f"{value:g}" if isinstance(value, float) else repr(str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...'"
