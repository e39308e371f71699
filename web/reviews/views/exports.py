"""Reviews as files."""

import json
from collections.abc import Iterator
from itertools import groupby
from uuid import UUID

from accounts import audit
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_safe
from films import limits, sending, sightings, tables
from films.models import Film
from project.context import RESEARCH_ONLY
from project.errors import TooMany, refuse_input
from project.request import Request

from reviews import access
from reviews.exports import coco as coco_json
from reviews.exports import table, training
from reviews.exports.training import Truth, truth_of
from reviews.models import Review
from reviews.scoring import scores_of


@require_safe
def export_csv(request: Request) -> HttpResponseBase:
    """Every review that the person may see, as a table."""
    reviews = _reviews(request)
    readings = [review.reading for review in reviews if review.reading]
    audit.record(request, "export", detail=f"table of {len(reviews)} reviews")
    sightings.note(request.user, {review.film_id for review in reviews})
    rows = table.rows(reviews, scores_of(reviews, list(dict.fromkeys(readings))))
    return tables.csv_response("reviews.csv", table.COLUMNS, rows)


@require_safe
def export_coco(request: Request) -> HttpResponseBase:
    """Their regions as COCO JSON."""
    reviews = _reviews(request).exclude(region=None)
    sightings.note(request.user, {review.film_id for review in reviews})
    try:
        limits.check_rate(request.user, limits.DRAWN, settings.DRAWINGS_PER_MINUTE)
        with limits.under_way(
            request.user, limits.DRAWN, max((review.film.width * review.film.height for review in reviews), default=0)
        ):
            document = coco_json.coco(reviews, f"OsteoLens reviews. {RESEARCH_ONLY}")
    except TooMany as error:
        return refuse_input(request, error)
    audit.record(request, "export", detail=f"{len(document['annotations'])} regions")
    return sending.download(json.dumps(document).encode(), "reviews.json", "application/json")


@require_safe
def export_training(request: Request) -> HttpResponseBase:
    """The person's own reviewed films with the reviewers' labels; never films of others."""
    own = Film.objects.filter(owner=request.user)
    truths = dict(_truths(Review.objects.filter(film__in=own).order_by("film", "pk")))
    labelled = [film_id for film_id, truth in truths.items() if not truth.problem]
    if not labelled:
        messages.error(
            request, gettext("There is nothing to train from yet: no film of yours has a review that says a label.")
        )
        return redirect("reviews:summary")
    audit.record_all(request, "export", [film.id for film in own.filter(pk__in=labelled)], "training table")
    sightings.note(request.user, labelled)  # a label that somebody took over from the answer is shown as well
    films = ((film, truths[film.id]) for film in own.filter(pk__in=truths).order_by("uploaded_at", "pk").iterator())
    parts = training.archive(films, group_by_label=request.GET.get("group") == "label")
    response = StreamingHttpResponse(parts, content_type="application/zip")
    response["Content-Disposition"] = 'attachment; filename="training.zip"'
    return response


def _truths(reviews: QuerySet[Review]) -> Iterator[tuple[UUID, Truth]]:
    for film_id, film_reviews in groupby(reviews, key=lambda review: review.film_id):
        yield film_id, truth_of(list(film_reviews))


def _reviews(request: Request) -> QuerySet[Review]:
    reviews = Review.objects.filter(film__in=access.films_summed_up(request.user))
    return reviews.select_related("film", "reviewer", "reading").order_by("film__uploaded_at", "film", "pk")
