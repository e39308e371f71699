"""Measure unfamiliarity: python train/measure_familiarity.py --films films.csv --knees oa_knees.csv --other FOLDER ...

How far strange pictures are from each model's training films, against films like these that nothing was fitted on.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from fit_familiarity import Picture, Pooled, parts_of, pictures
from gate import sources
from measure_gate import wilson
from osteolens.evaluation.measures import auroc
from osteolens.files import write_text
from osteolens.films.sample import drawn_knee
from osteolens.inference import familiarity

MODELS = ("efficientnet", "yolov5", "knee", "knee_oa")
TEXT = """\
# Unfamiliarity, measured

How far pictures are from a model's training films by `quality.unfamiliarity`, made by `train/measure_familiarity.py`.
Above 1 an answer carries a warning. "Held out" are films like the training films, of groups that neither the statistics
nor the threshold saw; the networks of all models but `knee_oa` did learn from them. AUROC: of a strange
picture and a held-out film, how often the strange one is further away. All pictures are asked past the gate, which
refuses most of them (`gate.md`). Intervals are Wilson's at 95 %.

| model | pictures | n | AUROC | above 1 | 95 % interval |
|---|---|---|---|---|---|
"""


def main(
    films: Annotated[Path, typer.Option(help="Table of films with the columns file and group.")],
    knees: Annotated[Path, typer.Option(help="Table of knees with the columns file, person, split and kl.")],
    other: Annotated[list[Path], typer.Option(help="Folder of strange pictures, a line each; repeatable.")],
    weights: Annotated[Path, typer.Option(help="Folder of model folders.")] = Path("weights"),
    most: Annotated[int, typer.Option(help="Pictures of each kind at most.")] = 150,
    out: Annotated[Path, typer.Option(help="The table.")] = Path("evidence/familiarity.md"),
) -> None:
    """Write a table by model and kind of picture."""
    own, theirs = ([*pictures(parts_of(table, most)["test"])] for table in (films, knees))
    strange = {
        f"`{folder.parent.name}/{folder.name}`": [source.pixels for source in sources.pictures([folder])][:most]
        for folder in other
    } | {"drawn knees": [drawn_knee(640, 512, 1000 + seed) for seed in range(40)]}
    lines = []
    for name in MODELS:
        held_out, title, rest = (
            (theirs, "films of both legs", own) if name == "knee_oa" else (own, "single knees of the OAI", theirs)
        )
        kinds = {title: rest, **_spoilt(held_out), **strange}
        lines += _lines(name, weights / name, held_out, kinds)
        print("\n".join(lines[-len(kinds) - 1 :]), flush=True)
    write_text(out, TEXT + "\n".join(lines) + "\n")


def _spoilt(films: Sequence[Picture]) -> dict[str, list[Picture]]:
    """The held-out films, changed."""
    return {
        "held out, blurred by 2 % of the side": [
            np.asarray(cv2.GaussianBlur(film, (0, 0), 0.02 * min(film.shape)), np.uint8) for film in films
        ],
        "held out, turned by 90 degrees": [np.ascontiguousarray(np.rot90(film, -1)) for film in films],
        "held out, inverted": [255 - film for film in films],
    }


def _lines(name: str, folder: Path, held_out: Iterable[Picture], kinds: dict[str, list[Picture]]) -> list[str]:
    network = Pooled(folder)
    known = familiarity.load(folder, network.card.weights_sha256)
    if known is None:
        raise typer.BadParameter(f"{folder} has no familiarity.safetensors: train/fit_familiarity.py writes it")
    usual = network.distances(known, held_out)
    lines = [_line(name, "held out", usual, None)]
    for kind, strange in kinds.items():
        distances = network.distances(known, strange)
        both = np.concatenate([distances, usual])
        area = auroc(both, np.arange(len(both)) < len(distances), np.ones((1, len(both))))[0]
        lines.append(_line(name, kind, distances, float(area)))
    return lines


def _line(model: str, kind: str, distances: NDArray[np.float64], area: float | None) -> str:
    count, total = int((distances > 1).sum()), len(distances)
    low, high = wilson(count, total)
    shown = "-" if area is None else f"{area:.2f}"
    return f"| `{model}` | {kind} | {total} | {shown} | {count / total:.1%} | {low:.1%} to {high:.1%} |"


if __name__ == "__main__":
    typer.run(main)
