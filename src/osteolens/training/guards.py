"""What stands before a trained model's answers: gate, joint finder, and how far a film is from the training films."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteolens.card import load_card
from osteolens.datasets.films import finder_path
from osteolens.films.gate import GATE_FILES, Gate, find_gate
from osteolens.films.joints import copy_finder
from osteolens.films.read import read
from osteolens.inference import familiarity
from osteolens.inference.runtimes.eager import EagerRuntime
from osteolens.places import shipped
from osteolens.training.cohort import Cohort

FILMS, ACCEPTED, BATCH = 50, 0.9, 16
"""Films that the gate is tried on, and the share of them that it has to accept to be carried."""


def add_guards(folder: Path, cohort: Cohort, *, gate: bool, notify: Callable[[str], None]) -> None:
    """Put gate and joint finder that come with OsteoLens and the distance from the training films into a model folder.

    Args:
        folder: A trained model's.
        cohort: Its films, prepared; those of the part `train` are the ones that it has learned from.
        gate: Carry gate and finder, if the gate accepts nine in ten training films: both know knees from the front, and
            would refuse all films of another joint.
        notify: Called with a sentence on the gate.
    """
    training, others = cohort.among("train"), cohort.among("validation")
    fitted = familiarity.fit_threshold(_pooled(folder, training), training.groups, _pooled(folder, others))
    fitted.save(folder, load_card(folder).weights_sha256)
    source = find_gate(shipped() / "weights" / "gate")
    if gate and source:
        share = _accepted(Gate(source), training)
        if share >= ACCEPTED:
            for name in GATE_FILES:
                shutil.copyfile(source / name, folder / name)
            copy_finder(finder_path(), folder)
        verb = "goes with the model" if share >= ACCEPTED else "is left out, as it is made for other pictures"
        notify(f"Of the training films the gate accepts {share:.0%}: it {verb}.")


def _accepted(gate: Gate, training: Cohort) -> float:
    """Share of some training films that a gate accepts."""
    chosen = training.films[:: max(1, len(training.films) // FILMS)]
    return float(np.mean([not gate.check(read(film.path).pixels)[0] for film in chosen]))


def _pooled(folder: Path, cohort: Cohort) -> NDArray[np.float32]:
    """The written model's pooled features, float32 [N, C]; [0, 0] without films."""
    runtime, pictures = EagerRuntime(folder), cohort.pictures
    parts = [runtime.predict(pictures[start : start + BATCH]).pooled for start in range(0, len(pictures), BATCH)]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
