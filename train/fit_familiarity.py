"""Fit how far films are from a model's: python train/fit_familiarity.py weights/knee --data films.csv."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from gate.sources import part_of
from osteolens.card import load_card
from osteolens.films.gate import CARD_FILE, NETWORK_FILE, find_gate
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.inference.familiarity import Familiarity, fit
from osteolens.inference.runtimes.eager import EagerRuntime

PASSED = 0.97


def main(
    model: Annotated[Path, typer.Argument(help="Model folder, which gets familiarity.safetensors.")],
    data: Annotated[Path, typer.Option(help="Table of the model's films with the columns file and group or person.")],
    most: Annotated[int, typer.Option(help="Films of each part at most, by chance.")] = 1500,
    strange: Annotated[list[Path] | None, typer.Option(help="Folder of other pictures to compare.")] = None,
) -> None:
    """Fit on most groups, set the threshold on others, and print what a third part and other pictures give."""
    card, runtime = load_card(model), EagerRuntime(model)
    parts: dict[str, list[Path]] = {"fit": [], "threshold": [], "test": []}
    for row in csv.DictReader(data.open()):
        part = part_of(row.get("group") or row["person"], test=0.25, threshold=0.25)
        parts["test" if row.get("split", "train") != "train" else part].append(data.parent / row["file"])
    random = np.random.default_rng(0)
    pooled = {
        part: _pooled(runtime, [files[index] for index in random.permutation(len(files))[:most]])
        for part, files in parts.items()
    }
    fitted = fit(pooled["fit"])
    distances = {part: _distances(fitted, values) for part, values in pooled.items()}
    fitted = replace(fitted, threshold=float(np.quantile(distances["threshold"], PASSED)))
    fitted.save(model, card.weights_sha256)
    gate = find_gate(model)
    if gate is None:
        for name in (NETWORK_FILE, CARD_FILE):  # the shipped gate, so that this model has it wherever it goes
            shutil.copyfile(Path("weights/gate") / name, model / name)
    for part, values in pooled.items():
        _report(part, _distances(fitted, values))
    for folder in strange or []:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        _report(folder.name, _distances(fitted, _pooled(runtime, files[:300])))


def _pooled(runtime: EagerRuntime, files: Sequence[Path]) -> NDArray[np.float32]:
    spec = runtime.card.preprocess
    return np.concatenate([runtime.predict(prepare(read(path).pixels, spec).array[None]).pooled for path in files])


def _distances(fitted: Familiarity, pooled: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([fitted.distance(values) for values in pooled])


def _report(name: str, distances: NDArray[np.float64]) -> None:
    low, middle, high = np.quantile(distances, [0.05, 0.5, 0.95])
    print(f"{name}: {len(distances)} films, {np.mean(distances > 1):.1%} above 1; {low:.2f}, {middle:.2f}, {high:.2f}")


if __name__ == "__main__":
    typer.run(main)
