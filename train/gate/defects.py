"""What can be wrong with a picture of a knee, done to a good one; and harmless changes, which must not matter."""

import string
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gate.drawn import gradient

Picture = NDArray[np.uint8]
_FONTS = (0, 2, 3, 4)


def vary(random: Generator, picture: Picture) -> Picture:
    """Another film of the same kind: mirrored, cut a little, leaning a little, darker, noisier, framed, marked."""
    if random.random() < 0.5:
        picture = picture[:, ::-1]
    picture = _cut(random, picture, 0.12)
    picture = _stretch(random, picture)
    picture = lean(picture, random.uniform(-8, 8))
    picture = _tone(random, picture)
    if random.random() < 0.5:
        picture = mark(random, picture)
    if random.random() < 0.4:
        picture = frame(random, picture)
    if random.random() < 0.3:
        picture = _compress(random, picture)
    return np.ascontiguousarray(picture)


def _cut(random: Generator, picture: Picture, most: float) -> Picture:
    height, width = picture.shape
    top, bottom, left, right = random.uniform(0, most, 4) * (random.random(4) < 0.6) * [height, height, width, width]
    return picture[int(top) : height - int(bottom), int(left) : width - int(right)]


def _stretch(random: Generator, picture: Picture) -> Picture:
    height, width = picture.shape
    across, down = random.uniform(0.9, 1.1, 2) * random.uniform(0.6, 1.1)
    return cv2.resize(picture, (max(8, int(width * across)), max(8, int(height * down))), interpolation=cv2.INTER_AREA)


def lean(picture: Picture, degrees: float) -> Picture:
    """The picture turned about its centre; what comes in from outside is dark, or as the edge."""
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    edge = cv2.BORDER_REPLICATE if int(abs(degrees) * 1000) % 2 else cv2.BORDER_CONSTANT
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=edge)


def _tone(random: Generator, picture: Picture) -> Picture:
    grey = (picture / np.float32(255)) ** random.uniform(0.6, 1.6)
    grey = grey * random.uniform(0.7, 1.1) + random.uniform(-0.05, 0.08)
    if random.random() < 0.3:
        grey = cv2.GaussianBlur(grey, (0, 0), random.uniform(0.4, 1.2))
    if random.random() < 0.5:
        grey = grey + random.normal(0, random.uniform(0.005, 0.05), grey.shape)
    return np.clip(grey * 255, 0, 255).astype(np.uint8)


def _compress(random: Generator, picture: Picture) -> Picture:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 90))])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def mark(random: Generator, picture: Picture) -> Picture:
    """Marker letters, a ball or a white strip near the edge, as real films have them."""
    picture = picture.copy()
    height, width = picture.shape
    for _ in range(int(random.integers(1, 4))):
        size = random.uniform(0.02, 0.055) * max(height, width)
        x = random.choice([random.uniform(0, 0.2), random.uniform(0.8, 0.95), random.uniform(0.4, 0.6)]) * width
        lowest = 0.1 if 0.3 * width <= x <= 0.7 * width else 0.95
        y = random.uniform(0, lowest) * height
        kind, level = random.integers(4), int(random.integers(170, 256))
        box = (int(x), int(y), int(x + size), int(y + size * 1.2))
        if kind == 0:
            cv2.rectangle(picture, box[:2], box[2:], level, -1)
            letter(random, picture, str(random.choice(list("RL"))), box, 20)
        elif kind == 1:
            letter(random, picture, str(random.choice(list("RL"))), box, level)
        elif kind == 2:
            cv2.circle(picture, box[:2], int(size / 2), level, -1)
        else:
            text = "".join(random.choice(list(string.ascii_uppercase + string.digits), int(random.integers(3, 9))))
            cv2.putText(picture, text, (int(x), int(y)), 0, size / 60, level, 1, cv2.LINE_AA)
    if random.random() < 0.2:
        strip = int(random.uniform(0.01, 0.12) * height)
        picture[-max(strip, 1) :] = 255
    return picture


def letter(random: Generator, picture: Picture, text: str, box: tuple[int, int, int, int], level: int) -> None:
    """Draw a letter into a box (left, top, right, bottom)."""
    scale = (box[3] - box[1]) / 26
    cv2.putText(picture, text, (box[0] + 1, box[3] - 2), int(random.choice(_FONTS)), scale, level, 1, cv2.LINE_AA)


def frame(random: Generator, picture: Picture) -> Picture:
    """Empty film or paper around the picture, or unexposed corners."""
    height, width = picture.shape
    pads = (random.uniform(0, 0.35, 4) * (random.random(4) < 0.6) * [height, height, width, width]).astype(int)
    level = int(random.choice([0, 0, 5, 15, 255]))
    return cv2.copyMakeBorder(picture, *pads.tolist(), cv2.BORDER_CONSTANT, value=level)


def write(random: Generator, picture: Picture, font: int | None = None) -> Picture:
    """Large text, or a stamp, over the middle."""
    picture = picture.copy()
    height, width = picture.shape
    lines = int(random.integers(1, 4))
    size = random.uniform(0.05, 0.16) * min(height, width)
    level = int(random.choice([255, 255, 230, 0]))
    y = random.uniform(0.3, 0.6) * height
    for line in range(lines):
        count = int(random.integers(5, 14))
        text = "".join(random.choice(list(string.ascii_letters + string.digits + "  "), count))
        face = int(random.choice(_FONTS)) if font is None else font
        across = cv2.getTextSize(text, face, size / 22, 1)[0][0]
        x = int(random.uniform(0.3, 0.7) * width - across / 2)
        thick = max(1, int(size / random.uniform(6, 14)))
        cv2.putText(picture, text, (x, int(y + line * size * 1.3)), face, size / 22, level, thick, cv2.LINE_AA)
    return picture


def collage(random: Generator, pictures: Sequence[Picture], rows: int, columns: int) -> Picture:
    """Pictures side by side and above each other, with a gap or without."""
    cell_h, cell_w = (int(side) for side in random.integers(110, 200, 2))
    gap = int(random.choice([0, 0, 2, 6, 14]))
    level = int(random.choice([0, 255, 128]))
    page = np.full((rows * (cell_h + gap) - gap, columns * (cell_w + gap) - gap), level, np.uint8)
    for number in range(rows * columns):
        top, left = number // columns * (cell_h + gap), number % columns * (cell_w + gap)
        picture = pictures[number % len(pictures)]
        page[top : top + cell_h, left : left + cell_w] = cv2.resize(
            picture, (cell_w, cell_h), interpolation=cv2.INTER_AREA
        )
    return page


def photograph(random: Generator, picture: Picture, behind: Picture | None) -> Picture:
    """The picture on a screen or a light box, photographed at an angle with what is around it."""
    height, width = (384, 288) if random.random() < 0.5 else (288, 384)
    if behind is None:
        room = np.asarray(np.clip(gradient(random, height, width) * random.uniform(0.1, 1), 0, 255), np.float32)
    else:
        room = cv2.resize(behind, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        room *= random.uniform(0.3, 1)
    screen = _on_screen(random, picture)
    scale = min(height / screen.shape[0], width / screen.shape[1]) * random.uniform(0.6, 0.95)
    half = np.array([screen.shape[1], screen.shape[0]]) * scale / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    angle = np.radians(random.uniform(-7, 7))
    turned = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = turned + random.normal(0, 0.035, (4, 2)) * half + [width / 2, height / 2]
    source = np.array([[0, 0], [screen.shape[1], 0], [screen.shape[1], screen.shape[0]], [0, screen.shape[0]]])
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), corners.astype(np.float32))
    seen = cv2.warpPerspective(screen, matrix, (width, height))
    inside = cv2.warpPerspective(np.ones_like(screen), matrix, (width, height))
    page = room * (1 - inside) + seen
    if random.random() < 0.5:
        y, x = np.mgrid[0:height, 0:width]
        place, reach = random.uniform(0.1, 0.9, 2) * [height, width], random.uniform(20, 80)
        page = page + random.uniform(30, 160) * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / reach**2)
    page = cv2.GaussianBlur(page, (0, 0), random.uniform(0.3, 1.2)) + random.normal(0, random.uniform(1, 7), page.shape)
    return np.clip(page, 0, 255).astype(np.uint8)


def _on_screen(random: Generator, picture: Picture) -> NDArray[np.float32]:
    """A picture as a screen shows it: glowing black, a moire, a frame, bars with buttons; or a light box around it."""
    height, width = picture.shape
    glow = random.uniform(8, 60)
    shown = glow + picture.astype(np.float32) * (random.uniform(170, 250) - glow) / 255
    y, x = np.mgrid[0:height, 0:width]
    if random.random() < 0.6:
        angle, period = random.uniform(0, np.pi), random.uniform(3, 30)
        shown += random.uniform(2, 14) * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if random.random() < 0.4:
        pads = (random.uniform(0.02, 0.3, 4) * [height, height, width, width]).astype(int).tolist()
        shown = cv2.copyMakeBorder(shown, *pads, cv2.BORDER_CONSTANT, value=float(random.choice([glow, 40, 235])))
        if random.random() < 0.5:
            shown[: max(pads[0] // 2, 2)] = random.uniform(60, 220)
    bezel = max(3, int(random.uniform(0.02, 0.09) * max(shown.shape)))
    level = float(random.choice([10, 25, 60, 150, 215, 245]))
    return cv2.copyMakeBorder(shown, bezel, bezel, bezel, bezel, cv2.BORDER_CONSTANT, value=level)
