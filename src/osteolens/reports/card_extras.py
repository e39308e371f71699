"""The sections of MODEL_CARD.md that are about all models: the poster, what was tried, licences, commands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osteolens.card import Metric
from osteolens.errors import DataError
from osteolens.evaluation.run_folder import read_tried
from osteolens.reports.card_sections import Model, table
from osteolens.reports.wording import percent
from osteolens.training.config import Configuration, load_configuration

CONFIGURATIONS = "train/configs"


def poster(path: Path) -> str:
    """What a student poster measured on these pictures, beside the same without leaks."""
    if not path.exists():
        return ""
    try:
        document = json.loads(path.read_bytes())
        stated = ", ".join(f"{share:.1%} ({name})" for name, share in document["stated by the poster"].items())
        sentences = "\n".join(f"- {sentence}" for sentence in document["sentences"])
        rows = [_poster_row(result) for result in document["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not what train/poster_protocol.py writes: {error!r}") from error
    columns = (
        "protocol", "architecture", "films (groups)", "accuracy", "balanced accuracy",
        "always the most frequent label", "epoch",
    )  # fmt: skip
    return (
        f"## The poster's figures beside leak-free ones\nA student poster on the same pictures states an accuracy of "
        f"{stated}. Its protocol, run again (`train/poster_protocol.py`), and the same pictures without its leaks:\n\n"
        f"{table(columns, rows)}\n\nWhy they differ:\n\n{sentences}"
    )


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


def tried_table(path: Path) -> str:
    """The log of what was tried."""
    if not path.exists():
        return ""
    tried = read_tried(path)
    how = "As it was written down on the way; each row says how it was measured."
    return f"## What was tried\n{how}\n\n{table(tried.columns, tried.rows)}"


def licences(models: Sequence[Model]) -> str:
    """Of code, weights and films."""
    lines = dict.fromkeys(
        f"- Films of {', '.join(f'`{model.card.name}`' for model in models if model.card.data.name == name)}: {name}; "
        f"{source or 'source not stated'}; {licence or 'licence not stated'}."
        for name, source, licence in ((m.card.data.name, m.card.data.source, m.card.data.licence) for m in models)
    )
    weights = "\n".join(f"- Weights of `{model.card.name}`: {model.card.licence}." for model in models)
    return "\n".join(["## Licences", "- Code: AGPL-3.0-or-later (`LICENSE`).", weights, *lines])


def reproduce(root: Path, models: Sequence[Model]) -> str:
    """Commands, from the films to this page."""
    known = {
        path.relative_to(root).as_posix(): load_configuration(path)
        for path in sorted((root / CONFIGURATIONS).glob("*.toml"))
    }
    commands: list[str] = []
    tables: dict[str, str] = {}
    for model in models:
        name, dataset = model.card.name, model.card.data.name
        table = tables.setdefault(dataset, f"{name if tables else 'films'}.csv")
        commands += _commands(name, table, model.run.facts if model.run else {}, _settings_of(model, known))
    named = "; ".join(f"`{table}` of {dataset}" for dataset, table in tables.items())
    lines = "\n".join([*commands, "python train/model_card.py --cards"])
    return (
        "## How to reproduce\nThe films are not in the repository. Tables list them, with the columns that "
        f"`docs/training.md` names: {named}. `runs/<name>/model` becomes `weights/<name>`; `predictions.csv`, "
        "`run.json` and `maps.json` of a run are its evidence. `osteolens report evidence/<name>` makes the page again "
        "without films or models. Where it says CONFIG, write the settings above into a file.\n\n"
        f"```\n{lines}\n```"
    )


def _settings_of(model: Model, known: dict[str, Configuration]) -> str:
    """The file with a model's settings: those its run noted, or else the only ones for its data set."""
    noted = model.run.facts.get("configuration") if model.run else None
    if noted:  # read as a configuration, so that a setting that came later has its default
        settings = Configuration.model_validate(noted)
        return next((path for path, other in known.items() if other == settings), "CONFIG")
    fitting = [path for path, other in known.items() if other.dataset.name == model.card.data.name]
    return fitting[0] if len(fitting) == 1 else "CONFIG"


def _commands(name: str, table: str, facts: dict[str, Any], config: str) -> list[str]:
    """From the films of a table to a model with its evidence and card."""
    crossed = facts.get("folds", 1) > 1
    script = "train/cross_validate.py" if crossed else "train/fit.py"
    options = f" --folds {facts['folds']} --repeats {facts['repeats']}" if crossed else ""
    options += " --ensemble" if facts.get("ensemble") else ""
    return [
        f"python {script} --config {config} --data {table} --out runs/{name}{options}",
        f"python train/check_maps.py --run runs/{name} --data {table}",
        f"python train/measure_peaks.py --model runs/{name}/model --run runs/{name} --data {table}",
        f"osteolens report runs/{name} --data {table}",
    ]
