"""MODEL_CARD.md, from the cards of the committed weights and the predictions stored in evidence/."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from osteolens.card import load_card
from osteolens.errors import CardError
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.run_folder import TRIED_FILE, read_run
from osteolens.labels import LABELS
from osteolens.reports import card_extras, card_figures, card_sections, card_text
from osteolens.reports.card_sections import Model

CARD_PAGE, EVIDENCE, WEIGHTS = "MODEL_CARD.md", "evidence", "weights"
POSTER_FILE = "poster.json"
TOLERANCE = 1e-3
"""Between a card's numbers and those computed again: optimisers end a little apart on different processors."""
_ROUNDED = re.compile(r"[-+]?\d+\.\d+|\d+(?= %)")
_SECTIONS = (
    card_sections.verdict,
    card_sections.films,
    card_sections.partitions,
    card_sections.training,
    card_figures.evaluation,
    card_figures.calibration,
    card_figures.triage,
    card_figures.subgroups,
    card_figures.heat_maps,
    card_figures.quantisation,
    card_sections.failures,
)


def gather(root: Path) -> list[Model]:
    """All shipped models with their evidence, those for osteoporosis first.

    Args:
        root: Holds `weights/` and `evidence/`.

    Raises:
        CardError: A card is damaged or does not belong to its weights.
        DataError: A file in evidence/ is damaged.
    """
    found: list[Model] = []
    for path in sorted((root / WEIGHTS).glob("*/card.json")):
        card, folder = load_card(path.parent), root / EVIDENCE / path.parent.name
        run = read_run(folder) if folder.is_dir() else None
        found.append(Model(card, run, evaluate(run.predictions, ensemble=run.ensemble) if run else None))
    return sorted(found, key=lambda model: (is_control(model), model.card.name))


def is_control(model: Model) -> bool:
    """Whether a model is for something else than osteoporosis, to show that the pipeline works."""
    return model.card.labels != LABELS


def page(root: Path, models: Sequence[Model]) -> str:
    """The whole of MODEL_CARD.md."""
    parts = [card_text.HEAD, card_text.USE, card_text.DATA]
    parts += [section(model) for model in models]
    parts += [card_extras.poster(root / EVIDENCE / POSTER_FILE), card_extras.tried_table(root / EVIDENCE / TRIED_FILE)]
    parts += [
        card_text.LIMITS,
        card_text.ETHICS,
        card_extras.licences(models),
        card_extras.reproduce(root, models),
        card_text.CHECKLIST,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def section(model: Model) -> str:
    """A model's chapter."""
    control = "Positive control: " if is_control(model) else ""
    parts = [f"## {control}`{model.card.name}` {model.card.version}"]
    if control:
        parts.append("Trained by the same code on labels that radiographs are known to show: is the pipeline right?")
    return "\n\n".join([*parts, *(text for write in _SECTIONS if (text := write(model)))])


def update_cards(root: Path) -> list[str]:
    """Put the figures and fitted numbers that the stored predictions give into the cards that disagree.

    Returns:
        The names of the models whose cards were written.
    """
    changed: list[str] = []
    for model in gather(root):
        if model.evidence is not None and disagreements([model]):
            apply_to_card(model.card, model.evidence).save(root / WEIGHTS / model.card.name)
            changed.append(model.card.name)
    return changed


def disagreements(models: Sequence[Model]) -> list[str]:
    """Cards whose figures or fitted numbers are not those of the stored predictions, a sentence each."""
    found: list[str] = []
    for model in models:
        if model.evidence is None:
            continue
        said, computed = (
            card.model_dump(mode="json") for card in (model.card, apply_to_card(model.card, model.evidence))
        )
        places = list(_different(said, computed, ""))
        if places:
            found.append(
                f"{WEIGHTS}/{model.card.name}/card.json disagrees with {EVIDENCE}/{model.card.name}: {places[0]}"
            )
    return found


def check(root: Path) -> None:
    """Compare MODEL_CARD.md and the cards with what the stored predictions give.

    Raises:
        CardError: Something disagrees; the message says what, and how to write it anew.
    """
    models = gather(root)
    problems = disagreements(models)
    path = root / CARD_PAGE
    if not path.is_file() or not same_text(path.read_text(encoding="utf-8"), page(root, models)):
        problems.append(f"{CARD_PAGE} disagrees with {WEIGHTS}/ and {EVIDENCE}/: run python train/model_card.py")
    if problems:
        raise CardError("; ".join(problems))


def same_text(written: str, computed: str) -> bool:
    """Whether two pages agree but for the last digit of rounded numbers, which may fall either way elsewhere."""
    if _ROUNDED.sub("#", written) != _ROUNDED.sub("#", computed):
        return False
    pairs = zip(_ROUNDED.findall(written), _ROUNDED.findall(computed), strict=True)
    return all(abs(float(a) - float(b)) < 1.01 * 10 ** -len(a.partition(".")[2]) for a, b in pairs)


def _different(said: Any, computed: Any, place: str) -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(said, dict) and isinstance(computed, dict) and said.keys() == computed.keys():
        for key in said:
            yield from _different(said[key], computed[key], f"{place}.{key}" if place else key)
    elif isinstance(said, list) and isinstance(computed, list) and len(said) == len(computed):
        for index, pair in enumerate(zip(said, computed, strict=True)):
            yield from _different(*pair, f"{place}[{index}]")
    elif isinstance(said, float | int) and isinstance(computed, float | int):
        if not math.isclose(said, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place} is {said:.4g}, computed {computed:.4g}"
    elif said != computed:
        yield f"{place} is {json.dumps(said)[:60]}, computed {json.dumps(computed)[:60]}"
