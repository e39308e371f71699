"""Models of the folds in fp32 and int8, and their outputs for films that neither model nor ranges have seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file, save_file

from osteolens.card import WEIGHTS_FILE, file_sha256, load_card
from osteolens.errors import DataError
from osteolens.evaluation.int8.ranges import Answers, Films, Floats, predict, quantise_within
from osteolens.evaluation.maps.runs import model_folder
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions
from osteolens.exporting.onnx import to_onnx
from osteolens.inference.calibration import log_softmax

Flags = NDArray[np.bool_]
_MAX_STORED = 0.01
"""Largest difference between a log-probability of a fold's model and the one in the table of predictions."""


@dataclass(frozen=True)
class Fold:
    """Model of a fold, with its films.

    Attributes:
        folder: Folder with card and weights.
        tested: bool [N], the films that the model never saw.
        training: bool [N], the films of the groups that the model was trained on.
    """

    folder: Path
    tested: Flags
    training: Flags


def find_folds(run: Path, members: Path | None, predictions: Predictions, scratch: Path) -> list[Fold]:
    """Find the models of the folds of the first repeat.

    Args:
        run: The folder of the cross-validation, with a model folder per fold.
        members: An ensemble whose members are the models of the folds, in order, where `run` has none.
        predictions: The run's stored predictions.
        scratch: Folder for the members' model folders.

    Raises:
        DataError: There is one fold only, or not one member for each.
    """
    numbers = np.unique(predictions.fold[0]).tolist()
    if len(numbers) < 2:
        raise DataError(
            f"{run} is not a cross-validation: all films are in fold {numbers[0]}, so none are training films to "
            "measure ranges on; name a run of osteolens crossval"
        )
    folders = split_ensemble(members, scratch) if members else [model_folder(run, n, predictions) for n in numbers]
    if len(folders) != len(numbers):
        raise DataError(f"{members} has {len(folders)} members, but {run} has {len(numbers)} folds")
    groups = np.array(predictions.groups)
    tested = [predictions.fold[0] == number for number in numbers]
    return [
        Fold(folder, held_out, ~np.isin(groups, groups[held_out]))
        for folder, held_out in zip(folders, tested, strict=True)
    ]


def split_ensemble(ensemble: Path, out: Path) -> list[Path]:
    """Write each member of an ensemble into a model folder of its own; the opposite of `models.save_ensemble`.

    Raises:
        DataError: The folder holds no ensemble.
    """
    card = load_card(ensemble)
    if not card.members:
        raise DataError(f"{ensemble} holds one {card.architecture} and no ensemble, such as weights/knee")
    stored = load_file(ensemble / WEIGHTS_FILE)
    folders: list[Path] = []
    for index, architecture in enumerate(card.members):
        folder, prefix = out / f"member{index}", f"members.{index}."
        folder.mkdir()
        state = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
        save_file(state, folder / WEIGHTS_FILE)
        facts = {"architecture": architecture, "members": (), "weights_sha256": file_sha256(folder / WEIGHTS_FILE)}
        card.model_copy(update=facts | {"quantisation": ()}).save(folder)
        folders.append(folder)
    return folders


def predict_folds(
    folds: Sequence[Fold], predictions: Predictions, pictures: Films, scratch: Path, console: Console
) -> tuple[Answers, Answers]:
    """Predict every film by the model of its fold, which never saw it, in fp32 and in int8.

    Args:
        folds: Every film is tested in one of them.
        predictions: The run's stored predictions.
        pictures: uint8 [N, 1, H, W], in the order of the predictions.
        scratch: Folder for the graphs.
        console: Where progress goes.

    Raises:
        DataError: A model does not give the answers of the table: it may have seen these films.
    """
    outputs: list[tuple[Answers, Answers]] = []
    for number, fold in enumerate(folds):
        card, place = load_card(fold.folder), scratch / f"fold{number}"
        graph = to_onnx(fold.folder, place)
        exact = predict(graph, card, pictures[fold.tested])
        _check_stored(number, exact, predictions.logits[0, fold.tested])
        ranges, int8 = quantise_within(graph, card, pictures[fold.training], place)
        outputs.append((exact, predict(int8, card, pictures[fold.tested])))
        console.print(f"fold {number}: {len(ranges.fp32)} nodes in fp32, {len(ranges.tensors)} ranges", highlight=False)
    order = np.argsort(np.concatenate([np.flatnonzero(fold.tested) for fold in folds]))
    exact_parts, int8_parts = zip(*outputs, strict=True)
    return _together(exact_parts, order), _together(int8_parts, order)


def _check_stored(fold: int, exact: Answers, stored: Floats) -> None:
    off = float(np.abs(log_softmax(exact.logits) - log_softmax(stored)).max())
    if not off < _MAX_STORED:  # NaN is refused too
        raise DataError(
            f"the model of fold {fold} does not give the answers in {PREDICTIONS_FILE} (off by {off:.2g}): name the "
            "run, or with --members the ensemble, that made them"
        )


def _together(parts: Sequence[Answers], order: NDArray[np.int64]) -> Answers:
    return Answers(
        *(np.concatenate([getattr(part, name) for part in parts])[order] for name in ("logits", "t_score", "maps"))
    )
