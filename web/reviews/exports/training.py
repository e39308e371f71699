"""Films with the labels that reviewers gave them, as an archive that `train/` reads as it is."""

import csv
import io
import statistics
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from films import storage
from films.models import Film

from osteolens.files import harmless
from osteolens.labels import LABELS, label_from_t_score
from reviews.exports.coco import file_name
from reviews.models import Review

TABLE, LEFT_OUT = "films.csv", "left_out.csv"
COLUMNS = ("file", "label", "group", "t_score", "age", "sex", "weight_kg", "height_m", "format_family")
_FACTS = ("age", "sex", "weight_kg", "height_m")


@dataclass(frozen=True)
class Truth:
    """Label of one film by all its reviewers.

    Attributes:
        label: Empty where no label can be taken from the reviews.
        t_score: The measured one, or None.
        problem: Why there is no label; empty where there is one.
    """

    label: str
    t_score: float | None
    problem: str = ""


def truth_of(reviews: Sequence[Review]) -> Truth:
    """The reference where there is one, else the label that most reviewers see.

    The reference is the label of the median measured T-score, or else the true label that most reviews name.

    Args:
        reviews: All reviews of one film.
    """
    measured = [review.dxa_t_score for review in reviews if review.dxa_t_score is not None]
    true = Counter(review.true_label for review in reviews if review.true_label)
    seen = Counter(review.label_said for review in reviews if review.label_said)
    if measured and set(true or seen) <= set(LABELS):
        score = statistics.median(measured)
        return Truth(label_from_t_score(score), score)
    first = (true or seen).most_common(2)
    if not first:
        return Truth("", None, "no review says a label")
    if len(first) == 2 and first[0][1] == first[1][1]:
        return Truth("", None, f"as many reviews say {first[0][0]} as {first[1][0]}")
    return Truth(first[0][0], None)


def archive(films: Iterable[tuple[Film, Truth]], *, group_by_label: bool) -> Iterator[bytes]:
    """A zip file in parts: the films as 8-bit grey PNG, `films.csv`, and `left_out.csv` with films without a label.

    Args:
        films: Each film once, with its label.
        group_by_label: Films with the same free label are of one patient, and stay on one side of every split; else
            each film is its own group. Films with the same bytes always share one.
    """
    stream = _Stream()
    keys: list[tuple[str, str]] = []
    rows: list[list[Any]] = []
    left_out: list[list[Any]] = [["film", "reason"]]
    # Stored: PNG files are compressed already.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as packed:
        for film, truth in films:
            try:
                picture = None if truth.problem else storage.read(storage.folder(film.id) / storage.DISPLAY)
            except storage.Gone:
                continue  # deleted meanwhile
            if picture is None:
                left_out.append([film.id, truth.problem])
                continue
            packed.writestr(file_name(film), picture)
            yield stream.take()
            keys.append((film.label_text if group_by_label and film.label_text else str(film.id), film.sha256))
            facts = [getattr(film, name) for name in _FACTS]
            rows.append([file_name(film), truth.label, truth.t_score, *facts, film.format.lower()])
        rows = [[*row[:2], f"patient-{group}", *row[2:]] for row, group in zip(rows, joined(keys), strict=True)]
        packed.writestr(TABLE, _csv([COLUMNS, *rows]))
        packed.writestr(LEFT_OUT, _csv(left_out))
    yield stream.take()


def joined(keys: Sequence[tuple[str, str]]) -> list[int]:
    """Number of each film's group, from 1: films that share a key, or share one with a film that does, are together."""
    groups: dict[str, int] = {}
    for number, pair in enumerate(keys):
        old = {groups[key] for key in pair if key in groups}
        group = min(old, default=number)
        if len(old) > 1:
            groups = {key: group if other in old else other for key, other in groups.items()}
        groups |= dict.fromkeys(pair, group)
    order = {group: place for place, group in enumerate(dict.fromkeys(groups[own] for own, _ in keys), 1)}
    return [order[groups[own]] for own, _ in keys]


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(harmless, row) for row in rows)
    return text.getvalue()


class _Stream(io.RawIOBase):
    """Target of a zip file that is sent while it is written: parts that were taken are forgotten."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def take(self) -> bytes:
        """Everything since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken
