"""Scores of stored maps against drawn regions: computed when they are first needed, then kept."""

from collections.abc import Iterable
from dataclasses import asdict
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from films import exporting, pictures, storage
from films.models import Reading

from reviews import regions
from reviews.agreement import map_scores
from reviews.models import MapScore, Review, region_file


def scores_of(reviews: QuerySet[Review], readings: Iterable[Reading]) -> list[MapScore]:
    """The score of each reading's map of its own label in each region of the same film.

    Args:
        reviews: Any reviews; those without a region have no scores.
        readings: Answered ones; those without a map of their own label have no scores.
    """
    drawn = reviews.exclude(region=None)
    there: dict[tuple[UUID | None, int], MapScore] = {
        (score.region, score.reading_id): score
        for score in MapScore.objects.filter(review__in=drawn).select_related("reading")
    }
    by_film: dict[object, list[Reading]] = {}
    for reading in readings:
        by_film.setdefault(reading.film_id, []).append(reading)
    scores, new = [], []
    for review in drawn:
        for reading in by_film.get(review.film_id, []):
            stored = there.get((review.region, reading.pk))
            score = stored or _score(review, reading)
            if score:
                scores.append(score)
            if score and not stored:
                new.append(score)
    _keep(new)
    return scores


def _keep(scores: list[MapScore]) -> None:
    try:
        with transaction.atomic():
            # Two people may open the summary at the same time.
            MapScore.objects.bulk_create(scores, ignore_conflicts=True)
    except IntegrityError:
        return  # a film was deleted at this moment: these are computed again when they are next needed


def _score(review: Review, reading: Reading) -> MapScore | None:
    if review.region is None:
        return None
    try:
        level_file = exporting.map_path(reading, reading.label)
        if level_file is None:
            return None
        mask = regions.from_png(storage.read(region_file(review.film_id, review.region)))
        levels = pictures.read_grey(storage.read(level_file))
    except storage.Gone:
        return None  # the answer came without maps, or film or region are being deleted or replaced
    return MapScore(review=review, region=review.region, reading=reading, **asdict(map_scores(levels, mask)))
