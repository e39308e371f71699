"""Measure the joint finder on films that it did not learn from: python benchmarks/joints.py --data DATA.

DATA holds films/, oa_knees/, oa_knees.csv and other/chest/. Writes evidence/joints/README.md.
"""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from osteolens.card import file_sha256, load_card
from osteolens.errors import InputError
from osteolens.files import write_text
from osteolens.films.gate import Gate
from osteolens.films.joints import Finder, Joint
from osteolens.films.knees import faults, is_framed, prepare_each, prepare_row, sides
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.inference.runtimes import load_runtime

NEAR = 0.04
"""A joint counts as found within this share of the film's height."""


@dataclass(frozen=True)
class Figure:
    """A share with what it must reach."""

    name: str
    hits: int
    count: int
    target: float | None = None

    @property
    def row(self) -> str:
        """A line of the table, with Wilson's interval."""
        share, z = self.hits / self.count, 1.96
        middle = (share + z * z / 2 / self.count) / (1 + z * z / self.count)
        half = z / (1 + z * z / self.count) * np.sqrt(share * (1 - share) / self.count + (z / 2 / self.count) ** 2)
        target = "" if self.target is None else f"{self.target:.0%}"
        interval = f"{max(0, middle - half):.1%} to {min(1, middle + half):.1%}"
        return f"| {self.name} | {self.hits} of {self.count} | {share:.1%} | {interval} | {target} |"


def main(
    data: Annotated[Path, typer.Option(help="Folder with the collections.")],
    finder: Annotated[Path, typer.Option(help="The joint finder.")] = Path("weights/joints/joints.onnx"),
    tables: Annotated[Path, typer.Option(help="Folder with boxes.csv and legs.csv.")] = Path("evidence/joints"),
    part: Annotated[str, typer.Option(help="Part of boxes.csv to measure on.")] = "held_out",
    singles: Annotated[int, typer.Option(help="At most so many single knees.")] = 10_000,
    model: Annotated[Path, typer.Option(help="A model of single knees.")] = Path("weights/knee_oa"),
    gate: Annotated[Path, typer.Option(help="Folder of the gate, timed beside the finder.")] = Path("weights/gate"),
    pairs: Annotated[int, typer.Option(help="People whose two knees become a made-up film.")] = 100,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("evidence/joints/README.md"),
) -> None:
    """Measure and write the table."""
    cv2.setNumThreads(1)
    find = Finder(finder)
    figures = [*_films(find, data, tables, part), *_singles(find, data, singles), *_without_knees(find, data)]
    figures += _turned(find, data, tables, part)
    figures += _agreement(find, data, model, pairs)
    lines = [
        "| what | number | share | 95 % interval | target |",
        "|---|---|---|---|---|",
        *(each.row for each in figures),
    ]
    text = "\n".join((*lines, "", _errors(find, data, tables, part), "", _speed(find, Gate(gate), data)))
    print(text)
    head = (
        "# The joint finder, measured\n\n"
        f"Written by `python benchmarks/joints.py --data DATA` with `{finder.name}` of sha256 `{file_sha256(finder)}`. "
        "`boxes.csv` holds the joints of films (as shares of the film's width and height), measured by eye for the "
        "parts `develop` and `held_out`, and for the part `checked` drawn by an early finder and checked by eye; the "
        "finder learned from `develop` and `checked`. `legs.csv` holds the number of legs on every film, counted by "
        "eye. The thresholds of presence, cutting off and turning were set on `develop` and on training persons "
        "after one earlier look at this table, those of the second look before any. Another second look, taught for "
        "longer on better drawn chests, lost a film of `held_out` and was not taken. The films are in the public "
        "collection of Wani and Arora; none of them "
        "is here.\n\n"
    )
    write_text(out, head + text + "\n")


def _films(find: Finder, data: Path, tables: Path, part: str) -> list[Figure]:
    legs = _rows(tables / "legs.csv")
    counts = {row["file"]: find.find(read(data / row["file"]).pixels) for row in legs}
    right = [row for row in legs if len(counts[row["file"]]) == int(row["legs"])]
    for row in legs:
        if row not in right:
            print(f"{row['file']} ({row['part']}): {len(counts[row['file']])} joints, {row['legs']} legs")
    held_out = [row for row in legs if row["part"] == part]
    near, known, joints = 0, 0, 0
    for file, boxes in _boxes(tables, part).items():
        height, width = read(data / file).pixels.shape
        pairs = _pairs(boxes, counts[file], height, width)
        joints += len(boxes)
        near += sum(distance < NEAR * height for _, _, distance in pairs)
        names = dict(zip(counts[file], (side for side, _ in sides(counts[file])), strict=True))
        known += sum(names[joint] == box["side"] for box, joint, _ in pairs)
    refused = sum(bool(faults(counts[row["file"]], read(data / row["file"]).pixels.shape)) for row in legs)
    return [
        Figure(
            f"films of part {part} with as many joints as legs",
            sum(row in right for row in held_out),
            len(held_out),
            0.99,
        ),
        Figure("all films, most of them learned from, with as many joints as legs", len(right), len(legs), 0.99),
        Figure(f"joints of part {part} within 4 % of the film's height", near, joints, 0.97),
        Figure(f"joints of part {part} with the right side", known, joints),
        Figure("films with a reason against them (no knee, several, cut off, turned)", refused, len(legs)),
    ]


def _singles(find: Finder, data: Path, limit: int) -> list[Figure]:
    rows = [row for row in _rows(data / "oa_knees.csv") if row["split"] == "val"][:limit]
    alone, framed, right, sided, refused = 0, 0, 0, 0, 0
    for row in rows:
        pixels = read(data / row["file"]).pixels
        joints = find.find(pixels)
        refused += bool(faults(joints, pixels.shape))
        if len(joints) == 1:
            alone += 1
            framed += is_framed(joints[0], pixels.shape)
            ((side, _),) = sides(joints)
            sided += side is not None
            right += side == {"L": "left", "R": "right"}[row["side"]]
    return [
        Figure("single knees of persons not learned from, found as one knee", alone, len(rows), 0.99),
        Figure("of these, read as they are, since they are framed as a single knee", framed, alone),
        Figure("of these, with a side from the fibula", sided, alone),
        Figure("of these sides, right ones", right, max(sided, 1)),
        Figure("single knees with a reason against them", refused, len(rows)),
    ]


def _without_knees(find: Finder, data: Path) -> list[Figure]:
    pictures = []
    for path in sorted((data / "other" / "chest").glob("*")):
        try:
            pictures.append(read(path).pixels)
        except InputError as error:
            print(f"{path.name}: {error}")
    return [
        Figure("chest films without a joint", sum(not find.find(pixels) for pixels in pictures), len(pictures), 0.95)
    ]


def _turned(find: Finder, data: Path, tables: Path, part: str) -> list[Figure]:
    """Whole films turned, and halves of films: each must have its reason."""
    turned, halves, files = 0, 0, list(_boxes(tables, part).items())
    for number, (file, boxes) in enumerate(files):
        pixels = read(data / file).pixels
        height, width = pixels.shape
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 20 if number % 2 else -20, 1)
        view = cv2.warpAffine(pixels, matrix, (width, height))
        turned += "turned" in faults(find.find(view), view.shape)
        cut = pixels[:, : round(float(boxes[0]["x"]) * width + 0.15 * _plateau(boxes[0], width))]
        halves += bool(faults(find.find(cut), cut.shape))
    return [
        Figure("films turned by 20 degrees, with the reason `turned`", turned, len(files)),
        Figure("films cut a little beyond the first joint's centre, with a reason", halves, len(files)),
    ]


def _agreement(find: Finder, data: Path, folder: Path, limit: int) -> list[Figure]:
    """Answers of a model of single knees: with the knee found in its picture, and in a made-up film of both legs."""
    card = load_card(folder)
    runtime = load_runtime(folder, card, "eager")
    whole = card.preprocess.model_copy(update={"view": "whole film"})
    each = whole.model_copy(update={"view": "each knee"})
    people: dict[str, dict[str, NDArray[np.uint8]]] = {}
    for row in _rows(data / "oa_knees.csv"):
        if row["split"] == "val":
            people.setdefault(row["person"], {})[row["side"]] = read(data / row["file"]).pixels
    both = [knees for knees in people.values() if len(knees) == 2][:limit]
    same, found, alike = 0, 0, 0
    for knees in both:
        single = {}
        for side, pixels in knees.items():
            array = prepare(pixels, whole).array
            single[side] = int(runtime.predict(array[None]).logits.argmax())
            same += np.array_equal(prepare_row(pixels, each, find, None).array, array)
        film = _pasted(knees["R"], knees["L"])
        joints = find.find(film)
        if len(joints) == 2:
            parts = prepare_each(film, each, joints, ("right", "left"))
            answers = [int(runtime.predict(part.array[None]).logits.argmax()) for part in parts]
            found += 1
            alike += sum(answer == single[side] for answer, side in zip(answers, "RL", strict=True))
    name = card.name
    return [
        Figure(f"single knees that reach {name} as the same bytes with and without the finder", same, 2 * len(both)),
        Figure("made-up films of a person's two knees with two joints", found, len(both)),
        Figure(f"knees cut out of these whose grade by {name} is that of the single knee", alike, max(2 * found, 1)),
    ]


def _pasted(right: NDArray[np.uint8], left: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two knees of 224 x 224 on an empty film, as a film of both legs shows them."""
    film = np.zeros((600, 700), np.uint8)
    film[180:404, 60:284], film[210:434, 400:624] = right, left
    return film


def _errors(find: Finder, data: Path, tables: Path, part: str) -> str:
    offsets, widths = [], []
    for file, boxes in _boxes(tables, part).items():
        pixels = read(data / file).pixels
        height, width = pixels.shape
        for box, joint, distance in _pairs(boxes, find.find(pixels), height, width):
            offsets.append(distance / height)
            widths.append(joint.width / _plateau(box, width) - 1)
    return (
        f"Distance from the centre measured by eye, as a share of the film's height: median {np.median(offsets):.2%}, "
        f"95th percentile {np.quantile(offsets, 0.95):.2%}, largest {max(offsets):.2%}. Width of the plateau: mean "
        f"difference {np.mean(widths):+.1%}, standard deviation {np.std(widths):.1%}."
    )


def _speed(find: Finder, gate: Gate, data: Path) -> str:
    films = [read(path).pixels for path in sorted((data / "films").glob("*.jpg"))[:20]]

    def both(film: NDArray[np.uint8]) -> None:
        gate.righted(film)
        find.find(film)

    medians = {name: np.median([_cost(run, film) for _ in range(9) for film in films]) for name, run in (
        ("the finder", find.find), ("the gate", gate.righted), ("both", both),
    )}  # fmt: skip
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in medians.items())
    return f"Time of the processor for a film in one process with one thread, median of {9 * len(films)}: {times}."


def _cost(function: Callable[[NDArray[np.uint8]], object], film: NDArray[np.uint8]) -> float:
    started = time.process_time()
    function(film)
    return (time.process_time() - started) * 1000


def _pairs(
    boxes: Sequence[dict[str, str]], joints: Sequence[Joint], height: int, width: int
) -> list[tuple[dict[str, str], Joint, float]]:
    """Each box with the nearest joint and their distance in pixels."""
    pairs = []
    for box in boxes:
        x, y = float(box["x"]) * width, float(box["y"]) * height
        if joints:
            joint = min(joints, key=lambda each: np.hypot(each.x - x, each.y - y))
            pairs.append((box, joint, float(np.hypot(joint.x - x, joint.y - y))))
    return pairs


def _plateau(box: dict[str, str], width: int) -> float:
    return (float(box["right"]) - float(box["left"])) * width


def _boxes(tables: Path, part: str) -> dict[str, list[dict[str, str]]]:
    films: dict[str, list[dict[str, str]]] = {}
    for row in _rows(tables / "boxes.csv"):
        if row["part"] == part:
            films.setdefault(row["file"], []).append(row)
    return films


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    typer.run(main)
