"""Pages from the templates beside this module; an HTML page is one file, with pictures and charts inside."""

import base64
import io

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Markdown is not escaped: `&lt;` inside its code would be shown as it stands.
_environment = Environment(
    loader=PackageLoader("osteolens.reports"),
    autoescape=select_autoescape(disabled_extensions=("md",), default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """Fill a template of `templates/`; values are escaped in HTML, and a missing value is an error."""
    return _environment.get_template(template).render(**values)


def picture_url(pixels: NDArray[np.uint8], longest: int = 320) -> str:
    """A picture as a `data:` address of a JPEG.

    Args:
        pixels: uint8 [H, W] grey or [H, W, 3] RGB.
        longest: Its longer side is made this many pixels; a smaller picture is left as it is.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    buffer = io.BytesIO()
    # INTER_AREA averages: other ways alias the fine texture of bone into patterns that are not in the film.
    Image.fromarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).save(buffer, "JPEG", quality=80)
    return _data_url("image/jpeg", buffer.getvalue())


def figure_url(figure: Figure) -> str:
    """A chart as a `data:` address of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return _data_url("image/png", buffer.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
