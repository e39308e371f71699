"""Results of the checks of the heat maps, as data: `maps.json`, from which pages and cards are written."""

from pathlib import Path

from pydantic import Field, ValidationError

from osteolens.card import Metric
from osteolens.errors import DataError, in_words
from osteolens.evaluation.maps.curves import Kind, Order
from osteolens.files import write_text
from osteolens.parameters import Frozen

MAPS_FILE = "maps.json"


class Curve(Frozen):
    """A mean curve; `area` is lower for better deletion and higher for better insertion."""

    kind: Kind
    order: Order
    probability: tuple[float, ...] = Field(
        description="probability of the explained class, mean over films, at each of `shares`"
    )
    area: Metric


class Region(Frozen):
    """Shares of one part of the input, means over films."""

    name: str
    films: int = Field(description="films that have this part and a map that is not flat")
    mass: Metric = Field(description="share of the map's sum")
    area: Metric = Field(description="share of the pixels: what a uniform map would give")
    difference: Metric = Field(description="mass less area")


class Example(Frozen):
    """A film of the example sheet, chosen by rule; pictures are not stored."""

    file: str
    label: str
    percentile: int = Field(description="percentile of its own label's probability among the films of that label")
    probability: float = Field(description="probability of its own label, not calibrated")
    explained: str = Field(description="the label that the map is for")


class MapChecks(Frozen):
    """Results of all checks, with their protocol."""

    films: int
    groups: int
    flat: int = Field(description="films whose map is zero throughout: no cell speaks for the predicted class")
    shares: tuple[float, ...]
    curves: tuple[Curve, ...]
    differences: tuple[Metric, ...] = Field(description="paired differences of areas, map less control")
    cascade: tuple[Metric, ...] = Field(
        description="correlations by the last stage that was randomised, from the heads down"
    )
    regions: tuple[Region, ...]
    height: Metric | None = Field(description="height of the centre of mass: 0 is the film's upper edge, 1 the lower")
    examples: tuple[Example, ...]
    protocol: dict[str, str]
    served: bool = Field(
        False,
        description="whether the explained label is the answered one, after calibration, and not the likeliest "
        "before it",
    )

    def write(self, path: Path) -> None:
        """Write JSON."""
        write_text(path, self.model_dump_json(indent=1) + "\n")


def read_map_checks(path: Path) -> MapChecks:
    """Read what `MapChecks.write` wrote.

    Raises:
        DataError: The file cannot be read or is something else.
    """
    try:
        return MapChecks.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path} is not what train/check_maps.py writes: {in_words(error)}") from error
