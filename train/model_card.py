"""Write MODEL_CARD.md from the cards of the committed weights: python train/model_card.py."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import Card, Evaluation, Metric, load_card
from osteolens.console import one_line_errors
from osteolens.errors import CardError

ROOT = Path(__file__).resolve().parents[1]

HEAD = """\
# Model card

Written by `python train/model_card.py` from the `card.json` beside each model's weights; a test fails when the two
disagree. Figures are point estimates with 95 % intervals.

**Research software, not a diagnostic device.** Nothing here has been checked on patients of your hospital, on your
machines, or by anybody else.
"""

LIMITS = """\
## What these models are for, and what not
- For research on knee radiographs, for learning how such a system is built and measured, and as a starting point for
  training on films of your own.
- Not for deciding about a patient: not for screening, diagnosis, ruling out, or sparing somebody a DXA.
- Input: one antero-posterior film of one or both knees. Other projections, other joints, implants, casts and children
  were not in the training films; the model answers them all the same, and wrongly.

## Limits
- **Few films from one place.** All public knee osteoporosis collections are the same radiographs. The intervals are
  as wide as that makes them.
- **The label is quantitative ultrasound**, not DXA: the T-scores carry the error of that method.
- **Age is in the picture.** Age and sex alone predict the label better than the film does here, and a network can read
  age off a joint. A good figure would not show that it sees bone density.
- **Few device families** made the films, and a file's size alone tells something of its label. Films are cropped,
  scaled and padded, and patches and borders erased at random in training, which lessens that but can't undo it.
- **The classes are uneven**; the loss weighs them to be equal, so the probabilities are not calibrated to any clinic.
- **Heat maps show where the evidence for a class lay in the last feature map**, a few cells across. They are
  relative to their own maximum, do not outline anatomy, and do not show that the answer is right.

## How the films were used
Films that were published twice with contradictory labels (`conflict`) were left out. Films of one `group` were
never split. The held-out films were read once, after every choice had been made on the validation films.
"""


@one_line_errors
def main(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the file is up to date.")] = False,
) -> None:
    """Write MODEL_CARD.md, or check it."""
    folders = sorted(path.parent for path in (ROOT / "weights").glob("*/card.json"))
    text = "\n".join([HEAD, *(section(load_card(folder)) for folder in folders), LIMITS])
    path = ROOT / "MODEL_CARD.md"
    if not check:
        path.write_text(text)
    elif not path.is_file() or path.read_text() != text:
        raise CardError(f"{path.name} disagrees with the cards in weights/: run python train/model_card.py")


def section(card: Card) -> str:
    """A model's facts and figures in Markdown."""
    films = ", ".join(f"{count} {part} ({card.data.groups[part]} groups)" for part, count in card.data.films.items())
    spec = card.preprocess
    return f"""\
## `{card.name}` {card.version}
| | |
|---|---|
| architecture | `{card.architecture}`, {spec.height} x {spec.width} pixels, one grey channel |
| answers | {", ".join(card.labels)}{"; T-score" if card.has_t_score else ""} |
| trained on | {card.data.name} ({card.data.source}; {card.data.licence}) |
| split | {card.data.split} |
| films | {films} |
| licence of the weights | {card.licence} |
| sha256 of the weights | `{card.weights_sha256}` |

{figures(card)}
"""


def figures(card: Card) -> str:
    """The evaluations side by side, and how each was made."""
    evaluations = card.evaluations
    names = dict.fromkeys(metric.name for evaluation in evaluations for metric in evaluation.metrics)
    head = f"| | {' | '.join(evaluation.subject for evaluation in evaluations)} |"
    rows = [f"| {name} | {' | '.join(cell(evaluation, name) for evaluation in evaluations)} |" for name in names]
    protocols = [
        f"- {evaluation.subject}: {evaluation.films} films of {evaluation.groups} groups; {evaluation.protocol}."
        for evaluation in evaluations
    ]
    return "\n".join([head, "|---" * (len(evaluations) + 1) + "|", *rows, "", *protocols])


def cell(evaluation: Evaluation, name: str) -> str:
    """One figure with its interval, or a dash."""
    found: Metric | None = next((metric for metric in evaluation.metrics if metric.name == name), None)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})" if found else "-"


if __name__ == "__main__":
    typer.run(main)
