"""Rows of lists of films as their templates write them down.

A page has fifty rows, so whatever is the same in all of them (addresses, words, symbols) is made once for the page, and
the template has nothing left to work out.
"""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from accounts.models import User
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.template.defaultfilters import floatformat
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext

from films import terms
from films.cards import condition_of
from films.models import Film

Row = dict[str, Any]
PER_PAGE = 50
_FEW = 500
_ANY = UUID(int=0)


def page_of(films: QuerySet[Film], number: str | None, count: int | None = None) -> Page[Film]:
    """A page of films in their order; the first or last one for a number that is none, or beyond.

    Args:
        films: All films of the list, with what the page needs of other tables.
        number: Number of the page, as the address has it.
        count: How many films they are, where that is known.
    """
    # Numbers alone are sorted: to sort ten thousand films with notes and answers takes several times as long.
    numbers = films.values_list("pk", flat=True)
    pages: Paginator[Any] = Paginator(numbers, PER_PAGE)
    if count is not None:
        pages.count = count
    elif len(few := numbers[: _FEW + 1]) <= _FEW:
        pages = Paginator(few, PER_PAGE)  # a search has read all films by now, and need not do so again
    page = pages.get_page(number)
    film_ids = list(page)
    of_number = films.order_by().in_bulk(film_ids)
    return Page([of_number[film_id] for film_id in film_ids if film_id in of_number], page.number, pages)


def addresses(view: str) -> Callable[[UUID], str]:
    """Maker of a view's addresses, from the numbers of films."""
    before, after = reverse(view, args=[_ANY]).split(str(_ANY))
    return lambda film_id: f"{before}{film_id}{after}"


def history(films: Collection[Film], *, with_patient: bool) -> list[Row]:
    """Rows of the history; under the heading of a patient the name is not repeated."""
    rows = _rows(films)
    headlines = {text: terms.headline(text) for text in {film.headline for film in films}}
    conditions = {model: terms.word(condition_of(model)) for model in {film.model for film in films}}
    for film, row in zip(films, rows, strict=True):
        row["facts"] = ""
        if film.side or film.patient_id:
            day = date_format(film.taken_on, "SHORT_DATE_FORMAT") if film.taken_on else ""
            patient = f"· {film.patient_name}" if with_patient and film.patient else ""
            row["facts"] = " ".join(filter(None, (terms.word(film.side), film.view, day, patient)))
        row["file"] = film.name if film.label_text else ""
        row["headline"], row["share"] = headlines[film.headline], film.share
        row["is_outdated"] = film.outdated
        row["error"] = terms.sentence(film.error_message) if film.error_message else ""
        row["t_score"] = "" if film.t_score is None else floatformat(film.t_score, 1)
        row["model"] = f"{film.model} {film.model_version} {conditions[film.model]}"
        row["moment"] = film.uploaded_at.isoformat(timespec="seconds")
        row["uploaded"] = date_format(film.uploaded_at, "SHORT_DATETIME_FORMAT")
    return rows


def worklist(films: Collection[Film], user: User) -> list[Row]:
    """Rows of a reading list; films of others say whose they are."""
    rows, of_other = _rows(films), gettext("of %(username)s")
    for film, row in zip(films, rows, strict=True):
        owner = "· " + of_other % {"username": film.owner.username} if film.owner_id != user.pk else ""
        day = date_format(film.day, "SHORT_DATE_FORMAT")
        row["facts"] = " ".join(filter(None, (film.patient_name, terms.word(film.side), day, owner)))
        row["assigned_to"] = film.assigned_to.username if film.assigned_to else ""
        row["read"] = ""
        if film.read_at:
            reader = film.read_by.username if film.read_by else ""
            row["read"] = f"{reader}, {date_format(film.read_at, 'SHORT_DATE_FORMAT')}"
    return rows


def _rows(films: Collection[Film]) -> list[Row]:
    """What both lists show."""
    page, thumb, select = addresses("films:film"), addresses("films:thumb"), gettext("Select %(title)s")
    zones = {zone: render_to_string("films/_triage.html", {"triage": zone}) for zone in {film.triage for film in films}}
    return [
        {
            "id": film.id,
            "url": page(film.id),
            "thumb": thumb(film.id),
            "title": film.title,
            "select": select % {"title": film.title},
            "state": film.state,
            "triage": zones[film.triage],
            "warnings": terms.sentences(film.all_warnings),
        }
        for film in films
    ]
