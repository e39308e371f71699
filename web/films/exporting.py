"""Answers with their maps, as JSON."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from films import storage
from films.cards import with_evidence
from films.models import Film, Reading
from osteolens.schema import Answer


def full_answer(reading: Reading) -> Answer:
    """The answer as the server gave it, with its maps.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    row = reading.row
    for explanation, content in zip(explanations_in(row), map_contents(reading), strict=True):
        explanation["map_png"] = base64.b64encode(content).decode("ascii")
    return with_evidence(Answer.model_validate(row))


def explanations_in(row: dict[str, Any]) -> list[dict[str, Any]]:
    """All explanations of an answer's JSON, in the order of their files: the film's, then each knee's."""
    return [*row["explanations"], *(each for knee in row.get("knees", []) for each in knee["explanations"])]


def map_contents(reading: Reading) -> Iterator[bytes]:
    """PNG of each explanation, as `explanations_in` orders them."""
    for index in range(len(explanations_in(reading.row))):
        yield storage.read(_map_file(reading, index))


def bare_answer(reading: Reading) -> Answer:
    """The answer without its maps."""
    row = reading.row
    knees = [knee | {"explanations": []} for knee in row.get("knees", [])]
    return with_evidence(Answer.model_validate(row | {"explanations": [], "knees": knees}))


def map_strength(reading: Reading, label: str) -> float | None:
    """Strength of a label's map, see `osteolens.schema.Explanation`; None where that is not known."""
    strengths = {explanation["target"]: explanation.get("strength") for explanation in reading.row["explanations"]}
    return strengths.get(label)


def map_path(reading: Reading, label: str, knee: int | None = None) -> Path | None:
    """The file of a label's map for the film, or for a knee counted from 0; None where the answer has no such map."""
    row = reading.row
    parts = [row["explanations"], *(each["explanations"] for each in row.get("knees", []))]
    number = 0 if knee is None else knee + 1
    targets = [explanation["target"] for explanation in parts[number]] if 0 <= number < len(parts) else []
    start = sum(map(len, parts[:number]))
    return _map_file(reading, start + targets.index(label)) if label in targets else None


def _map_file(reading: Reading, index: int) -> Path:
    if reading.maps is None:
        raise storage.Gone("the answer came without maps")
    return storage.map_file(reading.film_id, reading.maps, index)


def film_facts(film: Film) -> dict[str, Any]:
    """Facts about a film and its patient."""
    names = (
        "name", "patient_name", "side", "view",
        "label_text", "note", "age", "sex", "weight_kg", "height_m", "width", "height", "format", "bytes",
        "picture_warnings",
    )  # fmt: skip
    return (
        {"id": str(film.id)}
        | {name: getattr(film, name) for name in names}
        | {
            "sha256": film.sha256,
            "uploaded_at": film.uploaded_at.isoformat(),
            "taken_on": film.taken_on and film.taken_on.isoformat(),
        }
    )
