"""Fit how far films are from a model's: python train/fit_familiarity.py weights/knee --data films.csv."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from gate.sources import Part, part_of
from osteolens.card import load_card
from osteolens.datasets.folds import split
from osteolens.films.joints import Finder, finder_of
from osteolens.films.knees import prepare_each, sides
from osteolens.films.read import read
from osteolens.inference.familiarity import Familiarity, fit_threshold
from osteolens.inference.runtimes.eager import EagerRuntime

Picture = NDArray[np.uint8]
PARTS: dict[str, Part] = {"train": "fit", "validation": "threshold", "test": "test"}


class Pooled:
    """A model's pooled features of pictures, as its reader computes them.

    Args:
        folder: The model's.
    """

    def __init__(self, folder: Path) -> None:
        self.card, self.runtime = load_card(folder), EagerRuntime(folder)
        self.finder: Finder | None = finder_of(folder, self.card)

    def of(self, pixels: Picture) -> NDArray[np.float32]:
        """One row per input, float32 [knees, C]; of a picture without knees, and for models of whole films, [1, C]."""
        each = self.finder is not None and self.card.preprocess.view == "each knee"
        joints = self.finder.find(pixels) if self.finder and each else ()
        inputs = prepare_each(pixels, self.card.preprocess, joints, tuple(side for side, _ in sides(joints)))
        return np.concatenate([self.runtime.predict(prepared.array[None]).pooled for prepared in inputs])

    def distances(self, known: Familiarity, pictures: Iterable[Picture]) -> NDArray[np.float64]:
        """Distance of each picture; of one with two knees that of the stranger knee, as in answers."""
        return np.array([max(map(known.distance, self.of(pixels))) for pixels in pictures])


def main(
    model: Annotated[Path, typer.Argument(help="Model folder, which gets familiarity.safetensors.")],
    data: Annotated[Path, typer.Option(help="Table of the model's films with the columns file and group or person.")],
    most: Annotated[int, typer.Option(help="Films of each part at most, by chance.")] = 1500,
) -> None:
    """Fit on most groups, set the threshold on others, and print what a third part gives."""
    network, parts = Pooled(model), parts_of(data, most)
    pooled = {part: np.concatenate([network.of(pixels) for pixels in pictures(files)]) for part, files in parts.items()}
    fitted = fit_threshold(pooled["fit"], [], pooled["threshold"])
    fitted.save(model, network.card.weights_sha256)
    for part, values in pooled.items():
        distances = np.array([fitted.distance(value) for value in values])
        low, middle, high = np.quantile(distances, [0.05, 0.5, 0.95])
        above = np.mean(distances > 1)
        print(f"{part}: {len(distances)} films, {above:.1%} above 1; {low:.2f}, {middle:.2f}, {high:.2f}")


def parts_of(table: Path, most: int) -> dict[Part, list[Path]]:
    """Files of each part, at most so many, by chance: groups are never in two.

    With a column `split` the rows of `train` are parted as by `train/configs/knee_oa.toml`, so that the threshold is
    set on persons that its model did not learn from; all other rows are the test. Without one, groups are parted by
    chance.
    """
    rows = list(csv.DictReader(table.open()))
    groups = [row.get("group") or row["person"] for row in rows]
    if "split" in rows[0]:
        held_out = [row["split"] != "train" for row in rows]
        named = split([row["kl"] for row in rows], groups, validation=0.1, test=0.25, seed=0, held_out=held_out)
        chosen = [PARTS[name] for name in named.tolist()]
    else:
        chosen = [part_of(group, test=0.25, threshold=0.25) for group in groups]
    parts: dict[Part, list[Path]] = {"fit": [], "threshold": [], "test": []}
    for number in np.random.default_rng(0).permutation(len(rows)).tolist():
        files = parts[chosen[number]]
        if len(files) < most:
            files.append(table.parent / rows[number]["file"])
    return parts


def pictures(files: Iterable[Path]) -> Iterator[Picture]:
    """Pixels of files, uint8 [H, W]."""
    return (read(path).pixels for path in files)


if __name__ == "__main__":
    typer.run(main)
