"""evidence/README.md, about all models: the poster's figures, what was tried, the reporting checklists."""

import json
from pathlib import Path
from typing import Any

from osteolens.card import Metric
from osteolens.errors import DataError
from osteolens.evaluation.run_folder import TRIED_FILE, read_tried
from osteolens.reports.figures import percent, table
from osteolens.reports.pages import render

POSTER_FILE = "poster.json"
_POSTER_COLUMNS = (
    "protocol", "architecture", "films (groups)", "accuracy", "balanced accuracy",
    "always the most frequent label", "epoch",
)  # fmt: skip


def page(evidence: Path) -> str:
    """The text of the page; a table whose file is missing is left out."""
    return render("evidence.md", poster=_poster(evidence / POSTER_FILE), tried=_tried(evidence / TRIED_FILE)) + "\n"


def _poster(path: Path) -> dict[str, object] | None:
    """What a student poster measured on the same pictures, beside the same without leaks."""
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_bytes())
        stated = ", ".join(f"{share:.1%} ({name})" for name, share in document["stated by the poster"].items())
        rows = [_poster_row(result) for result in document["results"]]
        return {"stated": stated, "table": table(_POSTER_COLUMNS, rows), "sentences": document["sentences"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not what train/poster_protocol.py writes: {error!r}") from error


def _poster_row(result: dict[str, Any]) -> list[str]:
    accuracy, balanced = (Metric.model_validate(result[name]) for name in ("accuracy", "balanced_accuracy"))
    return [
        result["title"],
        f"`{result['architecture']}`",
        f"{result['films']} ({result['groups']})",
        percent(accuracy, 1),
        percent(balanced, 1),
        f"{result['majority']:.1%}",
        str(result["epoch"]),
    ]


def _tried(path: Path) -> str:
    """The log of what was tried, as a table."""
    if not path.exists():
        return ""
    tried = read_tried(path)
    return table(tried.columns, tried.rows)
