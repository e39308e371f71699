"""The shipped models: each card in weights/ with its evidence, and whether the two agree."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteolens.card import Card, Evaluation, load_card
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.evidence import Evidence
from osteolens.evaluation.run_folder import RunFolder, read_run
from osteolens.labels import LABELS

EVIDENCE, WEIGHTS = "evidence", "weights"
TOLERANCE = 1e-3
"""Between a card's numbers and those computed again: optimisers end a little apart on different processors."""


@dataclass(frozen=True)
class Model:
    """A shipped model.

    Attributes:
        card: The card beside its weights.
        run: Its folder in evidence/, if there is one.
        evidence: Computed again from the predictions there.
    """

    card: Card
    run: RunFolder | None
    evidence: Evidence | None

    @property
    def is_control(self) -> bool:
        """Whether it predicts something other than osteoporosis, to show that the pipeline works."""
        return self.card.labels != LABELS

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """The figures computed from the stored predictions, or else those in the card."""
        return self.evidence.evaluations if self.evidence else self.card.evaluations


def gather(root: Path) -> list[Model]:
    """All shipped models with their evidence, those for osteoporosis first.

    Args:
        root: Holds `weights/` and `evidence/`.

    Raises:
        CardError: A card is damaged or does not belong to its weights.
        DataError: A file in evidence/ is damaged.
    """
    models: list[Model] = []
    for path in sorted((root / WEIGHTS).glob("*/card.json")):
        card, folder = load_card(path.parent), root / EVIDENCE / path.parent.name
        run = read_run(folder) if folder.is_dir() else None
        models.append(Model(card, run, evaluate(run.predictions, ensemble=run.ensemble) if run else None))
    return sorted(models, key=lambda model: (model.is_control, model.card.name))


def disagreements(models: Sequence[Model]) -> list[str]:
    """Cards whose figures or fitted numbers are not those of the stored predictions, a sentence each."""
    sentences: list[str] = []
    for model in models:
        if model.evidence is None:
            continue
        stored, computed = (
            card.model_dump(mode="json") for card in (model.card, apply_to_card(model.card, model.evidence))
        )
        name = model.card.name
        if first := next(_differences(stored, computed, ""), ""):
            sentences.append(f"{WEIGHTS}/{name}/card.json disagrees with {EVIDENCE}/{name}: {first}")
    return sentences


def _differences(stored: Any, computed: Any, place: str) -> Iterator[str]:
    """Places and values at which two JSON values differ."""
    if isinstance(stored, dict) and isinstance(computed, dict) and stored.keys() == computed.keys():
        for key in stored:
            yield from _differences(stored[key], computed[key], f"{place}.{key}" if place else key)
    elif isinstance(stored, list) and isinstance(computed, list) and len(stored) == len(computed):
        for index, pair in enumerate(zip(stored, computed, strict=True)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif isinstance(stored, float | int) and isinstance(computed, float | int):
        if not math.isclose(stored, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place} is {stored:.4g}, computed {computed:.4g}"
    elif stored != computed:
        yield f"{place} is {json.dumps(stored)[:60]}, computed {json.dumps(computed)[:60]}"
