"""All reviews as a table."""

from collections.abc import Iterable, Iterator
from typing import Any

from reviews.models import MapScore, Review

COLUMNS = (
    "film", "width", "height", "reviewer", "blind", "model", "model_version", "answer", "verdict", "true_label",
    "dxa_t_score", "label_said", "map_rating", "region_area", "pointing", "mass_inside", "iou", "remark", "created_at",
    "changed_at",
)  # fmt: skip


def rows(reviews: Iterable[Review], scores: Iterable[MapScore]) -> Iterator[list[Any]]:
    """A row per review, `COLUMNS`; the scores are those of the answer's map that the review was about."""
    by_review = {(one.region, one.reading_id): one for one in scores}
    for one in reviews:
        reading = one.reading
        score = by_review.get((one.region, reading.pk)) if one.region and reading else None
        yield [
            one.film_id,
            one.film.width,
            one.film.height,
            one.reviewer.username,
            int(one.blind),
            reading.model if reading else "",
            reading.model_version if reading else "",
            reading.label if reading else "",
            one.verdict,
            one.true_label,
            one.dxa_t_score,
            one.label_said,
            one.map_rating,
            *((score.area, score.pointing, score.mass, score.iou) if score else ("", "", "", "")),
            one.remark,
            one.created_at.isoformat(timespec="seconds"),
            one.changed_at.isoformat(timespec="seconds"),
        ]
