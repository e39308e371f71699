"""Measure the gate: python train/measure_gate.py --films films.csv --knees oa_knees.csv ... --out evidence/gate.md."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from gate import bodies, defects, drawn, metal, sources
from gate.sources import Source
from osteolens.files import write_text
from osteolens.films.gate import AS_IT_SHOULD, TURNS, Gate, coarse
from osteolens.films.lie import Lie
from osteolens.films.sample import drawn_knee

Picture = NDArray[np.uint8]
SEED = 1
"""Another than the one that the network's examples are made with."""

TEXT = """\
# The gate, measured

Films, persons, files and sources that neither the network nor its numbers were fitted on; nothing is left out. Made by
`train/measure_gate.py` with the network of `weights/gate`. Intervals are Wilson's at 95 %, over pictures. {data}

"Stopped" is refused, or righted before it is answered as it should be (turned back, inverted back); the rest is
answered as it came, or wrongly righted. "By name": the reason in the last column is among those of the picture as it
came.
"Wrongly righted" has no error among the knees of the OAI as they are: by eye, all 14 are inverted in the collection.

| pictures | kind | n | stopped | 95 % interval | righted | wrongly righted | by name | reason |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """Pictures of one kind.

    Attributes:
        pictures: Where they are from.
        kind: What is wrong with them.
        code: The reason that is right; empty for those that are to be answered.
        tested: The pictures.
        lie: How they lie.
    """

    pictures: str
    kind: str
    code: str
    tested: Iterable[Picture]
    lie: Lie = AS_IT_SHOULD


def main(
    films: Annotated[Path, typer.Option(help="Table of films with the columns file and group.")],
    knees: Annotated[Path, typer.Option(help="Table of knees with the columns file, person and split.")],
    chests: Annotated[Path, typer.Option(help="Folder of radiographs of something else; the other half is tested.")],
    implants: Annotated[Path, typer.Option(help="Folder of knees with implants; the other half is tested.")],
    others: Annotated[list[Path], typer.Option(help="Folder of pictures, none that were fitted on; repeatable.")],
    crops: Annotated[Path | None, typer.Option(help="Table of crops of the films, with the column group.")] = None,
    gate: Annotated[Path, typer.Option(help="Folder of gate.onnx and gate.json.")] = Path("weights/gate"),
    out: Annotated[Path, typer.Option(help="The table.")] = Path("evidence/gate.md"),
    sample: Annotated[int, typer.Option(help="Knees of the collection that each defect is done to.")] = 300,
) -> None:
    """Write a table by kind of picture, and print the good pictures that are refused."""
    checked, random = Gate(gate), default_rng(SEED)
    whole, single = sources.films(films)["test"], sources.arthritis_knees(knees)["test"]
    chosen = [single[index] for index in random.permutation(len(single))[:sample]]
    rows = [
        Row("films", "as they are", "", _pixels(whole)),
        Row("knees of the OAI", "as they are", "", _pixels(single)),
        *_crops(crops),
        Row("drawn knees", "as they are", "", [coarse(drawn_knee(1280, 1024, 1000 + seed)) for seed in range(100)]),
        *_strangers(random, others, chests),
        Row("knees with implants", "real ones", "metal", _pixels(sources.halved(implants)["test"])),
    ]
    behind = [source.pixels for source in sources.pictures(others)]
    for name, good in (("films", whole), ("knees of the OAI", chosen)):
        rows += [
            Row(name, kind, code, [spoil(random, source.pixels) for source in good], _LIES.get(kind, AS_IT_SHOULD))
            for kind, code, spoil in _defects(behind, [source.pixels for source in whole])
        ]
    lines = [_line(checked, row) for row in rows]
    write_text(out, TEXT.format(data=f"Fitted on: {checked.card.data}.") + "\n".join(lines) + "\n")
    print("\n".join(lines))
    for source in whole:
        for reason in checked.check(source.pixels)[0]:
            print(f"refused: {source.name}: {reason.code}")


def _pixels(pictures: Sequence[Source]) -> list[Picture]:
    return [source.pixels for source in pictures]


def _crops(table: Path | None) -> list[Row]:
    if table is None:
        return []
    return [Row("crops of the films", "as they are", "", _pixels(sources.films(table)["test"]))]


def _strangers(random: Generator, others: Sequence[Path], chests: Path) -> list[Row]:
    """Pictures of something else."""
    found = list(sources.pictures(others))
    medical = [source for source in found if source.name.endswith(".dcm")]
    rest = [source for source in found if not source.name.endswith(".dcm")]
    return [
        Row("photographs and wallpapers", "no knee", "not_a_knee", _pixels(rest)),
        Row("other DICOM pictures", "no knee", "not_a_knee", _pixels(medical)),
        Row("chest films", "no knee", "not_a_knee", _pixels(sources.halved(chests)["test"])),
        *(
            Row(f"drawn: {kind}", "no knee", "not_a_knee", [drawn.draw(random, {kind: draw}) for _ in range(100)])
            for kind, draw in (drawn.KINDS | bodies.KINDS).items()
        ),
    ]


Spoil = Callable[[Generator, Picture], Picture]
_LIES = {f"turned by {turn}": Lie(turn) for turn in TURNS[1:]} | {"inverted": Lie(inverted=True)}


def _defects(behind: list[Picture], films: list[Picture]) -> list[tuple[str, str, Spoil]]:
    """Kind, code of its reason, and what makes it of a good picture."""

    def collage(random: Generator, picture: Picture) -> Picture:
        rows, columns = [(2, 1), (2, 2), (2, 3), (3, 3)][int(random.integers(4))]
        return defects.collage(
            random, [picture, *(films[int(i)] for i in random.integers(len(films), size=8))], rows, columns
        )

    def photographed(random: Generator, picture: Picture) -> Picture:
        room = behind[int(random.integers(len(behind)))] if random.random() < 0.5 else None
        return defects.photograph(random, picture, room)

    return [
        ("turned by 90", "turned", lambda _, picture: np.rot90(picture, -1).copy()),
        ("turned by 180", "turned", lambda _, picture: picture[::-1, ::-1].copy()),
        ("turned by 270", "turned", lambda _, picture: np.rot90(picture).copy()),
        ("leaning by 20", "leaning", lambda random, picture: defects.lean(picture, float(random.choice([-20, 20])))),
        ("inverted", "inverted", lambda _, picture: 255 - picture),
        ("mirrored", "", lambda _, picture: picture[:, ::-1].copy()),
        ("implant drawn in", "metal", metal.implant),
        ("text over it", "written", defects.write),
        ("collage", "collage", collage),
        ("photographed screen", "photographed", photographed),
        ("a tenth of the light", "too_dark", lambda _, picture: (picture * 0.1).astype(np.uint8)),
        ("overexposed", "too_bright", lambda _, picture: np.clip(picture * 2.0 + 200, 0, 255).astype(np.uint8)),
        ("a tenth of the contrast", "no_contrast", lambda _, picture: (110 + picture * 0.1).astype(np.uint8)),
        ("blurred by 2 % of the side", "blurred", _blurred),
        ("100 pixels", "too_small", _small),
    ]


def _blurred(_: Generator, picture: Picture) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), 0.02 * min(picture.shape))


def _small(_: Generator, picture: Picture) -> Picture:
    scale = 100 / min(picture.shape)
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _line(gate: Gate, row: Row) -> str:
    codes = [{reason.code for reason in gate.check(picture)[0]} for picture in row.tested]
    ends = [gate.righted(picture) for picture in row.tested]
    count, named = len(codes), sum(row.code in each for each in codes)
    refused = sum(bool(end.reasons) for end in ends)
    right = sum(end.lie == row.lie != AS_IT_SHOULD for end in ends)
    wrong = sum(end.lie not in (row.lie, AS_IT_SHOULD) for end in ends)
    low, high = wilson(refused + right, count)
    righted = f"{right / count:.1%}" if row.lie != AS_IT_SHOULD else ""
    by_name = f"{named / count:.1%} | `{row.code}`" if row.code else "|"
    return (
        f"| {row.pictures} | {row.kind} | {count} | {(refused + right) / count:.1%} | {low:.1%} to {high:.1%} "
        f"| {righted} | {wrong / count:.1%} | {by_name} |"
    )


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927)."""
    share, weight = count / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * float(np.sqrt(share * (1 - share) / total + weight / (4 * total)))
    return max(centre - half, 0.0), min(centre + half, 1.0)


if __name__ == "__main__":
    typer.run(main)
