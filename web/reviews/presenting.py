"""Films for reviewers: without name, label and note, and without the answer as long as it is hidden."""

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from django.urls import reverse
from django.utils.translation import gettext
from films import colours
from films.models import Film, Reading
from films.presenting import MAYBE_DEEP, ReadingView, labels_of, reading_view
from films.readings import readings_of
from films.sightings import has_seen

from reviews.models import Review
from reviews.regions import size_of


@dataclass(frozen=True)
class Case:
    """A film as one reviewer meets it.

    Attributes:
        film: The film.
        reading: The main answer; None while there is none.
        review: The review that this person has given already.
        shown: Whether the answer may be shown: after the own review, or when it was seen anyway.
        seen: Whether a label of it was shown to this reviewer anywhere.
    """

    film: Film
    reading: Reading | None
    review: Review | None
    shown: bool
    seen: bool


def case_of(user: User, film: Film) -> Case:
    """Case of this film for this person, with what they may see of it now."""
    review = film.reviews.filter(reviewer=user).first()
    reading = readings_of(film).main
    seen = has_seen(user, film)
    return Case(film, reading, review, reading is not None and (review is not None or seen), seen)


def code_of(film: Film) -> str:
    """Name of a film where its own must not be shown."""
    return gettext("Film %(code)s") % {"code": str(film.id)[:8].upper()}


def answer_of(case: Case) -> ReadingView | None:
    """The main answer, where it may be shown."""
    return reading_view(case.film, case.reading) if case.reading and case.shown else None


def others_of(case: Case, user: User) -> list[Review]:
    """Reviews by others, once they cannot influence this reviewer any more."""
    may_see = case.review is not None or (case.film.owner_id == user.pk and case.seen)
    return list(case.film.reviews.exclude(reviewer=user).select_related("reviewer").order_by("pk")) if may_see else []


def viewer_data(case: Case, answer: ReadingView | None) -> dict[str, Any]:
    """Data of the viewer, see `films.presenting.viewer_data`: the main answer alone, addresses for reviewers."""
    film = case.film
    models = [_viewer_model(film, answer)] if answer else []
    return {
        "film": {
            "title": code_of(film),
            "url": reverse("reviews:picture", args=[film.id]),
            "width": film.width,
            "height": film.height,
            "valuesUrl": reverse("reviews:values", args=[film.id]) if film.format in MAYBE_DEEP else None,
        },
        "colourMaps": colours.AS_HEX,
        "models": models,
        "labels": labels_of(models),
    }


def _viewer_model(film: Film, answer: ReadingView) -> dict[str, Any]:
    classes = [
        entry | {"map": entry["map"] | {"url": reverse("reviews:map", args=[film.id, answer.reading, entry["label"]])}}
        if entry["map"]
        else entry
        for entry in answer.classes
    ]
    return {"model": answer.model, "version": answer.model_version, "label": answer.label, "classes": classes}


def region_data(case: Case) -> dict[str, Any]:
    """Data of the drawing page: the mask's size in pixels, the address of an earlier one, and when that was saved."""
    width, height = size_of(case.film)
    drawn = case.review is not None and case.review.region is not None
    url = reverse("reviews:region", args=[case.film.id, case.review.pk]) if case.review and drawn else None
    saved = case.review.changed_at.isoformat() if case.review else ""
    return {"film": str(case.film.id), "width": width, "height": height, "url": url, "saved": saved}
