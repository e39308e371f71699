"""Made-up views that the joint finder is trained on: windows of films and single knees with their joints' places."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from gate import bodies, drawn
from osteolens.films.joints import CELL, INPUT_SIDE, SINGLE_JOINT, SINGLE_PLATEAU
from osteolens.films.read import read
from osteolens.films.sample import drawn_knee

Pixels = NDArray[np.uint8]
STORED_SIDE = 448
"""Longer side of the films in memory; a plateau is some 100 pixels wide there, in the largest view 110."""
TORSO = {"torso": bodies.torso}
GRID = INPUT_SIDE // CELL
CHANNELS = 6
"""Per cell: presence, joint right of and below the cell's middle in cells, log of the plateau's width in cells, turn in
units of 30 degrees, and whether the knee is a left one (as far as the fibula shows it)."""


@dataclass(frozen=True)
class Joint:
    """Centre and plateau width in pixels of a picture, turn in degrees, and 1 for a left, 0 for a right knee."""

    x: float
    y: float
    width: float
    turn: float = 0.0
    left: float = 1.0


@dataclass(frozen=True)
class Picture:
    """A picture with all joints in it."""

    pixels: Pixels
    joints: tuple[Joint, ...]


def whole_films(boxes: Path, data: Path, parts: Sequence[str]) -> list[Picture]:
    """Films of some parts of the table of boxes, reduced, with their joints."""
    rows: dict[str, list[dict[str, str]]] = {}
    with boxes.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["part"] in parts:
                rows.setdefault(row["file"], []).append(row)
    pictures = []
    for file, knees in rows.items():
        pixels = read(data / file).pixels
        scale = STORED_SIDE / max(pixels.shape)
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = small.shape
        joints = tuple(
            Joint(
                x=float(knee["x"]) * width,
                y=float(knee["y"]) * height,
                width=(float(knee["right"]) - float(knee["left"])) * width,
                left=float(knee["side"] == "left"),
            )
            for knee in knees
        )
        pictures.append(Picture(small, joints))
    return pictures


def drawn_films(count: int) -> list[Picture]:
    """Knees that `osteolens sample` draws, so that they are found too."""
    pictures = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        shift, gap = random.uniform(-0.03, 0.03), random.uniform(0.46, 0.52)  # the first that the drawing takes
        height, width = STORED_SIDE, round(STORED_SIDE * random.uniform(0.7, 1))
        joint = Joint((0.52 - shift) * width, (gap + 0.003) * height, 0.56 * width)
        pictures.append(Picture(drawn_knee(height, width, seed), (joint,)))
    return pictures


def single_knees(table: Path) -> list[Picture]:
    """Single knees of the training persons: the joint is where the collection's framing puts it."""
    with table.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    pictures = []
    for row in rows:
        pixels = cv2.resize(
            read(table.parent / row["file"]).pixels, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA
        )
        x, y = (share * INPUT_SIDE for share in SINGLE_JOINT)
        pictures.append(Picture(pixels, (Joint(x, y, SINGLE_PLATEAU * INPUT_SIDE, left=float(row["side"] == "L")),)))
    return pictures


_OTHERS = {
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "ultralytics": ("assets/bus.jpg", "assets/zidane.jpg"),
    "matplotlib": tuple(
        f"mpl-data/sample_data/{name}" for name in ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png")
    ),
    "pydicom": tuple(
        f"data/test_files/{name}.dcm" for name in ("CT_small", "MR_small", "693_J2KI", "examples_palette")
    ),
}


def negatives(random: np.random.Generator, made_up: int = 60, drawn_bodies: int = 0) -> list[Pixels]:
    """Pictures without a knee: photographs, tissue and drawings from installed packages, and made-up ones."""
    pictures = [_made_up(random) for _ in range(made_up)]
    pictures += [drawn.draw(random, of=bodies.KINDS if number % 4 else TORSO) for number in range(drawn_bodies)]
    for package, names in _OTHERS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{package} is not installed: pip install 'osteolens[train]'")
        pictures += [_grey(Path(spec.origin).parent / name) for name in names]
    return pictures


def _grey(path: Path) -> Pixels:
    """A picture or a slice, its range of values stretched, reduced as films are."""
    stored = dcmread(path).pixel_array if path.suffix == ".dcm" else np.asarray(Image.open(path).convert("L"))
    levels = stored.astype(np.float32)
    grey = (levels - levels.min()) * (255 / max(float(np.ptp(levels)), 1e-6))
    scale = min(1.0, STORED_SIDE / max(grey.shape))
    return np.asarray(
        cv2.resize(grey.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def _made_up(random: np.random.Generator, side: int = 192) -> Pixels:
    """Clouds of some coarseness with ellipses, bars and words over them."""
    grain = int(2 ** random.uniform(2, 7))
    clouds = cv2.resize(random.normal(0.4, 0.25, (grain, grain)).astype(np.float32), (side, side))
    picture = np.asarray(np.clip(clouds * 255, 0, 255).astype(np.uint8))
    for _ in range(random.integers(0, 8)):
        x, y, w, h = (int(value) for value in random.integers(0, side, 4))
        shade = int(random.integers(0, 256))
        kind = random.integers(4)
        if kind == 0:
            cv2.ellipse(picture, (x, y), (w // 2 + 1, h // 2 + 1), int(random.integers(180)), 0, 360, shade, -1)
        elif kind == 1:
            cv2.ellipse(picture, (x, y), (w // 2 + 1, h // 4 + 1), 0, 180, 360, shade, int(random.integers(2, 9)))
        elif kind == 2:
            cv2.rectangle(picture, (x, y), (x + w // 2, y + h // 4), shade, -1)
        else:
            cv2.putText(
                picture, "KNEE AP 12:30", (x // 2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.3 + h / side, shade, 1 + w // 64
            )
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.5, 3))), np.uint8)


class Views:
    """Draws views at random.

    Args:
        films: Whole films with their joints.
        knees: Single knees.
        others: Pictures without a knee.
        random: Decides everything.
        hard: Half of the views have no knee, and many of these are films whose joint is cut out, or other parts of a
            body that were given a film's grain.
    """

    def __init__(
        self, films: list[Picture], knees: list[Picture], others: list[Pixels], random: np.random.Generator,
        *, hard: bool = False,
    ) -> None:  # fmt: skip
        self.films, self.knees, self.others, self.random, self.hard = films, knees, others, random, hard

    def draw(self) -> tuple[Pixels, NDArray[np.float32]]:
        """A view and its targets.

        Returns:
            uint8 [INPUT_SIDE, INPUT_SIDE], and float32 [CHANNELS + 1, GRID, GRID], see `targets`.
        """
        shares = (0.2, 0.12, 0.1, 0.08, 0.5) if self.hard else (0.42, 0.18, 0.12, 0.13, 0.15)
        kind = self.random.choice(5, p=shares)
        picture = (self._whole, self._near, self._single, self._collage, self._empty)[kind]()
        if self.random.random() < 0.5:
            picture = mirrored(picture)
        return self._exposed(picture.pixels), targets(picture.joints)

    def _whole(self) -> Picture:
        """Most of a film, sometimes one leg of it."""
        picture = self._pick(self.films)
        height, width = picture.pixels.shape
        window = np.array([width, height]) * self.random.uniform(0.6, 1.25, 2)
        centre = np.array([width, height]) * self.random.uniform(0.35, 0.65, 2)
        return self._window(picture, centre, window)

    def _near(self) -> Picture:
        """The surroundings of one knee, from the framing of single knees to that of a leg."""
        picture = self._pick(self.films)
        joint = self._pick(picture.joints)
        side = joint.width * np.exp(self.random.uniform(np.log(1.1), np.log(4)))
        window = side * np.exp(self.random.normal(0, 0.15, 2))
        shift = self.random.uniform(-0.35, 0.35, 2) * np.maximum(window - joint.width, joint.width * 0.3)
        return self._window(picture, np.array([joint.x, joint.y]) + shift, window)

    def _single(self) -> Picture:
        picture = self._pick(self.knees)
        middle = np.full(2, INPUT_SIDE / 2)
        window = INPUT_SIDE * self.random.uniform(0.85, 1.12, 2)
        return self._window(picture, middle + self.random.normal(0, 0.05, 2) * INPUT_SIDE, window)

    def _collage(self) -> Picture:
        """One to three single knees or legs on an empty ground, beside each other."""
        count = int(self.random.choice((1, 2, 3), p=(0.3, 0.45, 0.25)))
        canvas = np.full((INPUT_SIDE, INPUT_SIDE), self.random.choice((0, self.random.integers(0, 60))), np.uint8)
        joints: list[Joint] = []
        slot = INPUT_SIDE / max(count, self.random.uniform(1, 2.5))
        for number in range(count):
            part = self._single() if self.random.random() < 0.6 else self._near()
            side = max(24, int(slot * self.random.uniform(0.6, 1)))
            tile = cv2.resize(part.pixels, (side, side), interpolation=cv2.INTER_AREA)
            left = int(number * slot + self.random.uniform(0, max(slot - side, 1)))
            left, top = min(left, INPUT_SIDE - side), int(self.random.uniform(0, INPUT_SIDE - side + 1))
            canvas[top : top + side, left : left + side] = tile
            scale = side / INPUT_SIDE
            joints += [
                replace(joint, x=joint.x * scale + left, y=joint.y * scale + top, width=joint.width * scale)
                for joint in part.joints
            ]
        return Picture(canvas, tuple(joints))

    def _empty(self) -> Picture:
        """No knee: another picture, a shaft without its joint, or a film on its side or upside down."""
        kind = self.random.random()
        if self.hard and self.random.random() < 0.2:
            return self._parted()
        if kind < (0.7 if self.hard else 0.4):
            pixels = self._pick(self.others)
            if self.hard and self.random.random() < 0.5:
                pixels = self._grained(pixels)
            height, width = pixels.shape
            window = np.array([width, height]) * self.random.uniform(0.2, 1.2)
            centre = np.array([width, height]) * self.random.uniform(0.2, 0.8, 2)
            view = self._window(Picture(pixels, ()), centre, window)
            upright = self.hard and self.random.random() < 0.7
            return Picture(np.asarray(view.pixels if upright else np.rot90(view.pixels, self.random.integers(4))), ())
        if kind < (0.85 if self.hard else 0.7):
            picture = self._pick(self.films)
            joint = self._pick(picture.joints)
            below = 1 if self.random.random() < 0.5 else -1
            side = joint.width * self.random.uniform(0.8, 1.6)
            centre = np.array([joint.x, joint.y + below * (side / 2 + joint.width * self.random.uniform(0.35, 1))])
            return self._window(picture, centre, np.full(2, side))
        view = (self._whole, self._near, self._single)[self.random.integers(3)]()
        return Picture(np.asarray(np.rot90(view.pixels, self.random.integers(1, 4))), ())

    def _parted(self) -> Picture:
        """A leg whose joint is cut out, so that thigh and calf meet, or lie the wrong way round."""
        picture = self._pick(self.films)
        joint = self._pick(picture.joints)
        left, right = (int(np.clip(joint.x + way * 0.7 * joint.width, 0, picture.pixels.shape[1])) for way in (-1, 1))
        gap = int(joint.width * self.random.uniform(0.4, 0.55))
        leg = picture.pixels[:, left:right]
        thigh, calf = leg[: max(int(joint.y) - gap, 8)], leg[min(int(joint.y) + gap, len(leg) - 8) :]
        kind = self.random.integers(3)
        parts = [(thigh, calf), (thigh[::-1], calf[::-1]), (calf, thigh)][kind]
        rows = np.vstack(parts).astype(np.float32)
        seam = len(parts[0])
        start, end = max(seam - 12, 0), min(seam + 12, len(rows))
        rows[start:end] = cv2.GaussianBlur(rows, (0, 0), 5)[start:end]
        whole = Picture(rows.astype(np.uint8), ())
        extent = np.array(whole.pixels.shape[::-1]) * self.random.uniform(0.5, 1.1, 2)
        return self._window(whole, np.array(whole.pixels.shape[::-1]) * self.random.uniform(0.4, 0.6, 2), extent)

    def _grained(self, pixels: Pixels) -> Pixels:
        """A picture with the fine structure of a film over it, which lies turned there."""
        source = self._pick(self.films).pixels
        fine = source - cv2.GaussianBlur(source.astype(np.float32), (0, 0), self.random.uniform(2, 5))
        turned = np.ascontiguousarray(np.rot90(fine, self.random.integers(1, 4)))
        fine = cv2.resize(turned, pixels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.clip(pixels + fine * self.random.uniform(0.5, 2), 0, 255).astype(np.uint8)

    def _window(self, picture: Picture, centre: NDArray[np.float64], window: NDArray[np.float64]) -> Picture:
        """A turned window of a picture, fitted into the input as the finder fits films; outside it is empty."""
        turn = self.random.normal(0, 5) if self.random.random() < 0.75 else self.random.uniform(-35, 35)
        scale = INPUT_SIDE / window.max()
        matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), turn, scale)
        matrix[:, 2] += INPUT_SIDE / 2 - centre
        source = picture.pixels
        if scale < 0.6:  # a reduction without filter would alias
            reduced = 1 / max(1, round(0.75 / scale))
            source = cv2.resize(source, None, fx=reduced, fy=reduced, interpolation=cv2.INTER_AREA)
            matrix[:, :2] /= reduced
        ground = int(self.random.choice((0, 0, int(np.median(picture.pixels[0])))))
        view = cv2.warpAffine(source, matrix, (INPUT_SIDE, INPUT_SIDE), flags=cv2.INTER_LINEAR, borderValue=ground)
        if scale < 0.6:
            matrix[:, :2] *= reduced
        extent = window * scale  # the shorter side is padded
        left, top = ((INPUT_SIDE - extent) / 2).astype(int)
        view[:top], view[INPUT_SIDE - top :], view[:, :left], view[:, INPUT_SIDE - left :] = 0, 0, 0, 0
        joints = []
        for joint in picture.joints:
            x, y = matrix @ (joint.x, joint.y, 1)
            if left < x < INPUT_SIDE - left and top < y < INPUT_SIDE - top:
                joints.append(Joint(float(x), float(y), joint.width * scale, joint.turn - turn, joint.left))
        return Picture(np.asarray(view, np.uint8), tuple(joints))

    def _exposed(self, pixels: Pixels) -> Pixels:
        """Change exposure and sharpness, add noise, markers, and now and then invert."""
        levels = pixels.astype(np.float32) / 255
        levels = levels ** np.exp(self.random.normal(0, 0.35))
        levels = levels * self.random.uniform(0.5, 1.1) + self.random.choice((0, self.random.uniform(0, 0.15)))
        if self.random.random() < 0.3:
            levels = cv2.GaussianBlur(levels, (0, 0), self.random.uniform(0.4, 1.3))
        levels += self.random.normal(0, self.random.choice((0, 0.02, 0.05)), levels.shape).astype(np.float32)
        if self.random.random() < 0.3:
            x, y = self.random.integers(0, INPUT_SIDE - 12, 2)
            w, h = self.random.integers(3, 12, 2)
            levels[y : y + h, x : x + w] = self.random.uniform(0.6, 1)
        if self.random.random() < 0.08:
            levels = 1 - levels
        return np.asarray(np.clip(levels * 255, 0, 255).astype(np.uint8))

    def _pick(self, items: Sequence):  # type: ignore[no-untyped-def, type-arg]
        return items[self.random.integers(len(items))]


def mirrored(picture: Picture) -> Picture:
    """The other side's knees."""
    width = picture.pixels.shape[1]
    joints = tuple(replace(joint, x=width - joint.x, turn=-joint.turn, left=1 - joint.left) for joint in picture.joints)
    return Picture(np.ascontiguousarray(picture.pixels[:, ::-1]), joints)


def targets(joints: Sequence[Joint]) -> NDArray[np.float32]:
    """What the finder should say of a view: see `CHANNELS`; the last is the weight of all but the first."""
    values = np.zeros((CHANNELS + 1, GRID, GRID), np.float32)
    rows, columns = np.mgrid[:GRID, :GRID] + 0.5
    for joint in joints:
        across, down = joint.x / CELL - columns, joint.y / CELL - rows
        squared = across**2 + down**2
        values[0] = np.maximum(values[0], np.exp(-squared / 2 / 0.8**2))
        near = squared <= 1.5**2
        values[1][near], values[2][near] = across[near], down[near]
        values[3][near], values[4][near] = np.log(joint.width / CELL), joint.turn / 30
        values[5][near], values[6][near] = joint.left, 1
        values[0][int(joint.y / CELL), int(joint.x / CELL)] = 1
    return values
