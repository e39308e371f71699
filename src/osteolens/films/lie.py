"""How a film lies: turned, inverted or as it should; and the way back, so that answers fit the film as sent."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osteolens.films.prepare import Geometry
from osteolens.quality import Reason

Point = tuple[float, float]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Lie:
    """What is wrong with how a film lies.

    Attributes:
        turn: Degrees clockwise by which it is turned: 0, 90, 180 or 270.
        inverted: Whether bone is darker than its surroundings.
    """

    turn: int = 0
    inverted: bool = False

    def righted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The film as it should lie: uint8 [H, W], or [W, H] for a quarter turn."""
        turned = np.rot90(pixels, self.turn // 90)
        return np.ascontiguousarray(255 - turned if self.inverted else turned)

    def laid(self, geometry: Geometry) -> Geometry:
        """That of an input made of the righted film, so that maps lie on the film as it was sent."""
        film = geometry.film[::-1] if self.turn % 180 else geometry.film
        return replace(geometry, film=film, turn=self.turn)

    def point(self, point: Point, film: tuple[int, int]) -> Point:
        """A place (from the left, from the top) on a righted film of this (height, width), on the film as sent."""
        (x, y), (height, width) = point, film
        return {0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[self.turn]

    def box(self, box: Box, film: tuple[int, int]) -> Box:
        """A box on a righted film of this (height, width), on the film as sent."""
        first, second = self.point(box[:2], film), self.point(box[2:], film)
        (left, right), (top, bottom) = (sorted((round(a), round(b))) for a, b in zip(first, second, strict=True))
        return left, top, right, bottom

    @property
    def corrections(self) -> tuple[Reason, ...]:
        """What is done to right the film, with stable codes: `turned_90`, `turned_180`, `turned_270`, `inverted`."""
        done = []
        if self.turn:
            was = f"the film lay turned by {self.turn} degrees clockwise, and was turned back before it was read"
            done.append(Reason(code=f"turned_{self.turn}", message=was))
        if self.inverted:
            was = "bone was darker than its surroundings, and the film was inverted before it was read"
            done.append(Reason(code="inverted", message=was))
        return tuple(done)
