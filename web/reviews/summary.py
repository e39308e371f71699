"""Summary of all reviews: counts, agreement, and overlap of the maps with the regions."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

import numpy as np
from accounts.models import User
from django.utils.translation import gettext
from films.models import Reading

from osteolens.agreement import Floats
from osteolens.labels import in_order
from reviews import access
from reviews.agreement import Agreement, Figure, Ratings, agreement, agreement_of_all, draw, mean, share
from reviews.models import MapScore, Review
from reviews.readings import current_readings
from reviews.scoring import scores_of

LabelOf = Callable[[Review], str]
_Raters = tuple[str, str, Ratings, Ratings, Ratings, Ratings]


@dataclass(frozen=True)
class Pair:
    """Two raters, and how far they agree; `blind` counts reviews alone that were given before the answer was seen."""

    first: str
    second: str
    all: Agreement
    blind: Agreement


@dataclass(frozen=True)
class Among:
    """Agreement of reviewers about one question."""

    heading: str
    pairs: list[Pair]
    fleiss: Figure
    fleiss_blind: Figure


@dataclass(frozen=True)
class ModelMaps:
    """Overlap of one model's maps with the drawn regions: means over films, each the mean over its regions."""

    model: str
    regions: int
    pointing: Figure
    mass: Figure
    iou: Figure
    area: Figure


@dataclass(frozen=True)
class Summary:
    """The whole page.

    Attributes:
        films: Number with at least one review.
        reviews: Number of all reviews.
        blind: Number of reviews given before the answer was seen.
        verdicts: Number of reviews by verdict.
        ratings: Number of reviews by rating of the map.
        right: Share of the reviews that call the answer right, among those that call it right or wrong.
    """

    films: int
    reviews: int
    blind: int
    reviewers: int
    verdicts: dict[str, int]
    ratings: dict[str, int]
    right: Figure
    among: list[Among]
    with_models: list[Pair]
    maps: list[ModelMaps]


def summary_for(user: User) -> Summary:
    """All figures about the reviews that this person may see together."""
    films = access.films_summed_up(user)
    query = Review.objects.filter(film__in=films).select_related("reviewer").order_by("pk")
    reviews = list(query)
    readings = current_readings(films.filter(reviews__isnull=False))
    table = _Table(reviews)
    return Summary(
        films=len(table.films),
        reviews=len(reviews),
        blind=sum(review.blind for review in reviews),
        reviewers=len(table.reviewers),
        verdicts=_counted(Review.Verdict.choices, (review.verdict for review in reviews)),
        ratings=_counted(Review.MapRating.choices, (review.map_rating for review in reviews)),
        right=table.share((review.film_id, _rightness(review)) for review in reviews),
        among=[
            table.among(gettext("The label, between reviewers"), _label),
            table.among(gettext("The rating of the map, between reviewers"), _rating),
        ],
        with_models=table.with_models(readings),
        maps=table.maps(scores_of(query, readings)),
    )


class _Table:
    """Reviews by reviewer and film. All figures share one set of resamples of the films."""

    def __init__(self, reviews: Sequence[Review]) -> None:
        self.reviews = reviews
        self.films = {film: row for row, film in enumerate(dict.fromkeys(review.film_id for review in reviews))}
        self.reviewers = sorted({review.reviewer.username for review in reviews})
        self.weights = draw(len(self.films))

    def among(self, heading: str, label_of: LabelOf) -> Among:
        labels = _ordered(label_of(review) for review in self.reviews)
        rows, blind = (self._rows(label_of, labels, blind=only) for only in (False, True))
        pairs = combinations(self.reviewers, 2)
        return Among(
            heading,
            self._pairs([(a, b, rows[a], rows[b], blind[a], blind[b]) for a, b in pairs], labels),
            agreement_of_all(list(rows.values()), len(labels), self.weights),
            agreement_of_all(list(blind.values()), len(labels), self.weights),
        )

    def with_models(self, readings: Sequence[Reading]) -> list[Pair]:
        labels = _ordered([*map(_label, self.reviews), *(reading.label for reading in readings)])
        rows, blind = (self._rows(_label, labels, blind=only) for only in (False, True))
        models: dict[str, Ratings] = {}
        for reading in readings:
            if reading.film_id in self.films:
                row = models.setdefault(reading.model, np.full(len(self.films), -1))
                row[self.films[reading.film_id]] = labels.index(reading.label)
        pairs = [(person, model) for model in sorted(models) for person in self.reviewers]
        return self._pairs([(a, b, rows[a], models[b], blind[a], models[b]) for a, b in pairs], labels)

    def _pairs(self, raters: Iterable[_Raters], labels: Sequence[str]) -> list[Pair]:
        """Pairs of raters that have a film in common."""
        pairs = [
            Pair(
                a,
                b,
                agreement(first, second, len(labels), self.weights),
                agreement(first_blind, second_blind, len(labels), self.weights),
            )
            for a, b, first, second, first_blind, second_blind in raters
        ]
        return [pair for pair in pairs if pair.all.same.n]

    def maps(self, scores: Sequence[MapScore]) -> list[ModelMaps]:
        by_model: dict[str, list[MapScore]] = {}
        for score in scores:
            by_model.setdefault(score.reading.model, []).append(score)
        return [
            ModelMaps(
                model,
                len(model_scores),
                *(
                    mean(
                        self.per_film((score.reading.film_id, getattr(score, name)) for score in model_scores),
                        self.weights,
                    )
                    for name in ("pointing", "mass", "iou", "area")
                ),
            )
            for model, model_scores in sorted(by_model.items())
        ]

    def share(self, values: Iterable[tuple[UUID, float | None]]) -> Figure:
        """The mean over all reviews that have a value."""
        sums, counts = self._sums(values)
        return share(sums, counts, self.weights)

    def per_film(self, values: Iterable[tuple[UUID, float | None]]) -> Floats:
        """The mean of each film's values, float64 [N]; NaN where it has none."""
        sums, counts = self._sums(values)
        return np.asarray(sums / np.where(counts > 0, counts, np.nan))

    def _sums(self, values: Iterable[tuple[UUID, float | None]]) -> tuple[Floats, Floats]:
        """Sum and number of each film's values, float64 [N] each."""
        sums, counts = np.zeros(len(self.films)), np.zeros(len(self.films))
        for film, value in values:
            if value is not None and film in self.films:
                sums[self.films[film]] += value
                counts[self.films[film]] += 1
        return sums, counts

    def _rows(self, label_of: LabelOf, labels: Sequence[str], *, blind: bool) -> dict[str, Ratings]:
        rows = {person: np.full(len(self.films), -1) for person in self.reviewers}
        for review in self.reviews:
            if label_of(review) and (review.blind or not blind):
                rows[review.reviewer.username][self.films[review.film_id]] = labels.index(label_of(review))
        return rows


def _label(review: Review) -> str:
    return review.label_said


def _rating(review: Review) -> str:
    return review.map_rating


def _rightness(review: Review) -> float | None:
    return {Review.Verdict.RIGHT: 1.0, Review.Verdict.WRONG: 0.0}.get(Review.Verdict(review.verdict or "unsure"))


def _ordered(labels: Iterable[str]) -> list[str]:
    """Labels that occur, from mild to severe where that is known."""
    return [*in_order(set(labels) - {""})]


def _counted(choices: Iterable[tuple[str, object]], values: Iterable[str]) -> dict[str, int]:
    counts = Counter(values)
    return {str(words): counts[value] for value, words in choices}
