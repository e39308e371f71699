"""All reviews as a table."""

from collections.abc import Iterable, Iterator
from typing import Any

from reviews.models import MapScore, Review

COLUMNS = (
    "film", "width", "height", "reviewer", "blind", "model", "model_version", "answer", "verdict", "seen_label",
    "true_label", "dxa_t_score", "label_said", "map_rating", "region_area", "pointing", "mass_inside", "iou", "remark",
    "created_at", "changed_at",
)  # fmt: skip


def rows(reviews: Iterable[Review], scores: Iterable[MapScore]) -> Iterator[list[Any]]:
    """A row per review, `COLUMNS`; the scores are those of the answer's map that the review was about."""
    by_review = {(score.region, score.reading_id): score for score in scores}
    for review in reviews:
        reading = review.reading
        score = by_review.get((review.region, reading.pk)) if review.region and reading else None
        yield [
            review.film_id,
            review.film.width,
            review.film.height,
            review.reviewer.username,
            int(review.blind),
            reading.model if reading else "",
            reading.model_version if reading else "",
            reading.label if reading else "",
            review.verdict,
            review.seen_label,
            review.true_label,
            review.dxa_t_score,
            review.label_said,
            review.map_rating,
            *((score.area, score.pointing, score.mass, score.iou) if score else ("", "", "", "")),
            review.remark,
            review.created_at.isoformat(timespec="seconds"),
            review.changed_at.isoformat(timespec="seconds"),
        ]
