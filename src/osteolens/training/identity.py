"""Identity of a run: all that its predictions depend on, stored in its folder, so that two runs never mix there.

Left out is what changes no prediction: the data set's name, the folders of films and run, the number of processes; and
age, sex, weight and height, as everything that is fitted on them is fitted again each time.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteolens.card import WEIGHTS_FILE, file_sha256
from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.evaluation.maps.findings import MAPS_FILE
from osteolens.files import write_text
from osteolens.training.config import Configuration, DatasetSection

Identity = dict[str, Any]
"""JSON values by name, with lists where Python has tuples."""

IDENTITY_FILE = "identity.json"
VERSION = 1
GROWING = ("configuration.optimisation.epochs", "configuration.optimisation.patience")
"""Settings that may be raised: the run then goes on from where it stopped."""

_DIGEST, _FOLDS = "sha256:", "folds"
_SHOWN = 4
_RESULTS = (
    "checkpoint.safetensors", "log.csv", "curves.png", "tensorboard", "model", "all", "predictions.csv", "split.csv",
    "folds.csv", "metrics.json", "run.json", MAPS_FILE, "report.html", "poster.json", "poster.html", IDENTITY_FILE,
)  # fmt: skip
_RESULT_FOLDERS = re.compile(r"r\d+f\d+")
_TRACES = ("checkpoint.safetensors", "folds.csv", "predictions.csv", "poster.json")


def of_training(
    kind: str,
    config: Configuration,
    films: Sequence[Film],
    labels: Sequence[str],
    parts: NDArray[np.str_] | None = None,
) -> Identity:
    """Identity of a training, without its pictures.

    Args:
        kind: The run's kind.
        config: The `data` section is left out, as films, labels and parts follow from it.
        films: N films; their order counts too.
        labels: The K classes in order.
        parts: [N], see `osteolens.datasets.folds.split`.
    """
    settings = config.model_dump(mode="json", exclude={"dataset": True, "data": True, "run": {"workers"}})
    if config.model.start:
        settings["model"]["start"] = _DIGEST + file_sha256(Path(config.model.start) / WEIGHTS_FILE)
    names: dict[str, int] = {}  # groups by number, as renamed groups split the films alike
    facts: Identity = {
        "number of films": len(films),
        "order of labels": list(labels),
        "labels of films": digest([film.label for film in films]),
        "groups": digest([names.setdefault(film.group, len(names)) for film in films]),
    }
    if config.optimisation.t_score_weight:
        facts["T-scores"] = digest([film.t_score for film in films])
    if parts is not None:
        facts["parts (training, validation, held out)"] = digest(parts.tolist())
    return {"version": VERSION, "kind of run": kind, "configuration": settings, "films": facts}


def with_pictures(identity: Identity, pictures: NDArray[np.uint8]) -> Identity:
    """Identity with the hash of the prepared pictures uint8 [N, 1, H, W], which covers files and preprocessing."""
    content = _DIGEST + hashlib.sha256(np.ascontiguousarray(pictures).data).hexdigest()
    return identity | {"films": identity["films"] | {"pictures": content}}


def of_folds(fold: NDArray[np.int64], parts: Sequence[Sequence[NDArray[np.str_]]]) -> Identity:
    """Identity of the folds: which films are tested in which.

    Args:
        fold: int64 [R, N].
        parts: For each repeat and each of its folds, the part of each film, [N].
    """
    rows: Identity = {}
    for repeat, sides in enumerate(parts):
        rows[f"number of folds in repeat {repeat}"] = len(sides)
        rows[f"films in the folds of repeat {repeat}"] = digest([fold[repeat].tolist(), *(s.tolist() for s in sides)])
    return rows


def digest(values: Any) -> str:
    """SHA-256 of JSON values, with a prefix that says so."""
    return _DIGEST + hashlib.sha256(json.dumps(values).encode()).hexdigest()


def check(folder: Path, identity: Identity, growing: Sequence[str] = GROWING) -> None:
    """Refuse a folder that holds a different run; `identity` may lack parts that are not known yet.

    Raises:
        DataError: Names what differs, in one line.
    """
    path = folder / IDENTITY_FILE
    if path.exists():
        compare(folder, _read(path), identity, growing)
        return
    traces = [name for name in _TRACES if (folder / name).exists()] or [path.name for path in _folders(folder)]
    if traces:
        raise DataError(
            f"{folder} holds {traces[0]} of a run without {IDENTITY_FILE}, as earlier versions left it; "
            "use another --out, or --restart to train again there"
        )


def claim(folder: Path, identity: Identity, *, restart: bool = False, growing: Sequence[str] = GROWING) -> None:
    """Take a folder for this run: refuse a folder of another run, or with `restart` delete that run.

    Raises:
        DataError: Names what differs, in one line.
    """
    if restart:
        _clear(folder)
    check(folder, identity, growing)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / IDENTITY_FILE
    if path.exists():
        before = _read(path)
        if before["configuration"] != identity["configuration"]:
            (folder / MAPS_FILE).unlink(missing_ok=True)  # its models will change by further training
        if _FOLDS in identity:  # an earlier call may have trained more repeats, which still lie there
            identity = identity | {_FOLDS: before[_FOLDS] | identity[_FOLDS]}
    write_text(path, json.dumps(identity, indent=1, ensure_ascii=False) + "\n")


def compare(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], growing: Sequence[str] = GROWING) -> None:
    """Refuse to mix two runs; repeats that only one of them has may differ.

    Raises:
        DataError: Names what differs, in one line.
    """
    if before.get("version") != VERSION:
        raise DataError(
            f"{folder} holds a run of another version of OsteoLens, which stored other facts about its films; "
            "use another --out, or --restart to train again there"
        )
    # A run from before a setting existed had what is the default now.
    old, new = _defaults() | _flat(before), _flat(now)
    different = [
        key
        for key, value in new.items()
        if value != old.get(key)
        and not (key.startswith(f"{_FOLDS}.") and key not in old)
        and not (key in growing and key in old and value > old[key])
    ]
    if different:
        shown = [_sentence(key, old.get(key), new[key]) for key in different[:_SHOWN]]
        rest = [f"and {len(different) - _SHOWN} more"] * (len(different) > _SHOWN)
        raise DataError(
            f"{folder} holds a run that was started differently: {'; '.join([*shown, *rest])}; "
            "use another --out, or --restart to train again there"
        )


def _defaults() -> dict[str, Any]:
    """Settings that a configuration has without any line, by their names in an identity."""
    return _flat({"configuration": Configuration(dataset=DatasetSection(name="any")).model_dump(mode="json")})


def _sentence(key: str, old: Any, new: Any) -> str:
    name = re.sub(r"^(configuration|films|folds)\.", "", key)
    if any(str(value).startswith(_DIGEST) for value in (old, new)):
        return f"{name} differ"
    return f"{name} was {old!r} and is {new!r}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _read(path: Path) -> Identity:
    try:
        values: Identity = json.loads(path.read_text(encoding="utf-8"))
        return values | {"configuration": values["configuration"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error!r}), so it is not known what lies there; use another --out, or --restart "
            "to train again there"
        ) from error


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("r*f*")) if path.is_dir() and _RESULT_FOLDERS.fullmatch(path.name))


def _clear(folder: Path) -> None:
    """Delete a run's files: nothing else in its folder, and nothing at all where there is no run."""
    if not any((folder / name).exists() for name in (IDENTITY_FILE, *_TRACES)) and not any(_folders(folder)):
        return
    for path in [*(folder / name for name in _RESULTS), *_folders(folder)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
