"""Pictures that are no films, drawn by chance: textures, gradients, noise, documents, charts and shapes."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Draw = Callable[[Generator, int, int], NDArray[np.float64]]
SIDE = 288
_FONTS = (0, 1, 2, 3, 4, 6, 7)  # OpenCV's Hershey fonts
_WORDS = "the film was read on a screen and sent to nobody before it came back with lines of text 2026 17.5 kg R L"


def draw(random: Generator, of: Mapping[str, Draw] | None = None) -> Picture:
    """A picture of a random kind (of `KINDS` or of others) and shape: uint8 [h, w]."""
    kinds = of or KINDS
    kind = str(random.choice(tuple(kinds)))
    height, width = (int(side) for side in random.integers(SIDE * 2 // 3, SIDE * 4 // 3, 2))
    return np.clip(kinds[kind](random, height, width), 0, 255).astype(np.uint8)


def clouds(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Soft noise of a random grain."""
    grain = float(random.choice([2, 4, 8, 16, 40]))
    return random.uniform(40, 210) + smooth(random, height, width, grain) * random.uniform(15, 70)


def smooth(random: Generator, height: int, width: int, grain: float) -> NDArray[np.float64]:
    """Noise without structure below `grain` pixels: mean 0, standard deviation 1."""
    small = random.normal(size=(int(height / grain) + 2, int(width / grain) + 2))
    field = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def gradient(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Brightness that rises in one direction, or from a point."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        ramp = x * np.cos(angle) + y * np.sin(angle)
    else:
        ramp = np.hypot(x - random.uniform(0, 1), y - random.uniform(0, 1))
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return ramp ** random.uniform(0.4, 2.5) * random.uniform(90, 255) + random.uniform(0, 30)


def noise(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Independent pixels."""
    if random.random() < 0.5:
        return random.integers(0, 256, (height, width)).astype(float)
    return random.normal(random.uniform(50, 200), random.uniform(5, 60), (height, width))


def stripes(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """A grid, a chequerboard, or waves."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    angle, period = random.uniform(0, np.pi), random.uniform(6, 80)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    across = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    kind = random.integers(4)
    pattern = [wave, np.sign(wave), np.sign(wave * across), wave + across][kind]
    return 128 + pattern * random.uniform(20, 127)


def document(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Lines of text, dark on bright or bright on dark."""
    dark, bright = random.uniform(0, 60), random.uniform(180, 255)
    paper, ink = (bright, dark) if random.random() < 0.75 else (dark, bright)
    page = np.full((height, width), paper, np.uint8)
    size = random.uniform(0.25, 1.1)
    step, words = int(28 * size) + 4, _WORDS.split()
    for y in range(step, height, step):
        if random.random() < 0.12:
            continue
        line = " ".join(random.choice(words, 14))
        cv2.putText(page, line, (int(random.uniform(2, 30)), y), int(random.choice(_FONTS)), size, ink, 1, cv2.LINE_AA)
    if random.random() < 0.3:
        page[: int(height * random.uniform(0.05, 0.3))] = random.uniform(0, 255)
    return page.astype(float)


def chart(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Axes with bars, a curve or points."""
    page = np.full((height, width), random.choice([255, 245, 20]), np.uint8)
    ink = 255 - float(page[0, 0])
    left, bottom = width // 8, height - height // 8
    cv2.line(page, (left, height // 12), (left, bottom), ink, 1)
    cv2.line(page, (left, bottom), (width - 8, bottom), ink, 1)
    places = np.linspace(left + 8, width - 14, int(random.integers(5, 30))).astype(int)
    values = (height / 10 + random.uniform(0, 0.7, len(places)) * height).astype(int)
    kind = random.integers(3)
    for index, (x, y) in enumerate(zip(places.tolist(), values.tolist(), strict=True)):
        shade = random.uniform(40, 220)
        if kind == 0:
            cv2.rectangle(page, (x - 4, min(y, bottom)), (x + 4, bottom), shade, -1)
        elif kind == 1:
            cv2.circle(page, (x, min(y, bottom)), 3, shade, -1)
        elif index:
            cv2.line(page, (int(places[index - 1]), int(values[index - 1])), (x, y), shade, 2, cv2.LINE_AA)
    return page.astype(float)


def shapes(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Rectangles, ellipses and bars over each other, some with soft edges and texture."""
    page = np.full((height, width), random.uniform(0, 255))
    if random.random() < 0.5:
        page[:] = random.uniform(0, 25)
    for _ in range(int(random.integers(2, 14))):
        centre = int(random.uniform(0, width)), int(random.uniform(0, height))
        axes = int(random.uniform(4, width / 3)), int(random.uniform(4, height / 2))
        shade, angle = random.uniform(0, 255), random.uniform(0, 180)
        if random.random() < 0.5:
            cv2.ellipse(page, centre, axes, angle, 0, 360, shade, -1)
        else:
            corners = cv2.boxPoints((centre, axes, angle)).astype(np.int32)
            cv2.fillPoly(page, [corners], shade)
    if random.random() < 0.6:
        page = cv2.GaussianBlur(page, (0, 0), random.uniform(0.5, 8))
    return page + smooth(random, height, width, 3) * random.uniform(0, 12)


def landscape(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Sky and hills."""
    page = gradient(random, height, width) * 0.4 + random.uniform(80, 150)
    y = np.arange(height)[:, None]
    for level in np.sort(random.uniform(0.25, 0.95, int(random.integers(1, 5)))):
        ridge = height * level + smooth(random, 1, width, random.uniform(15, 90))[0] * height * 0.05
        shade = random.uniform(10, 190) + smooth(random, height, width, 5) * random.uniform(2, 25)
        page = np.where(y > ridge, shade, page)
    return page


def tubes(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Bright soft cylinders on black, such as bones that are no knee, fingers, or pipes."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    page = np.full((height, width), random.uniform(0, 20))
    for _ in range(int(random.integers(1, 8))):
        angle = random.uniform(0, np.pi)
        distance = (x - random.uniform(0, width)) * np.sin(angle) - (y - random.uniform(0, height)) * np.cos(angle)
        radius = random.uniform(5, width / 5)
        profile = np.clip(1 - (distance / radius) ** 2, 0, 1) ** random.uniform(0.3, 1)
        page = np.maximum(page, profile * random.uniform(60, 250))
    return page + smooth(random, height, width, 4) * random.uniform(0, 10)


KINDS = {
    "clouds": clouds, "gradient": gradient, "noise": noise, "stripes": stripes, "document": document, "chart": chart,
    "shapes": shapes, "landscape": landscape, "tubes": tubes,
}  # fmt: skip
