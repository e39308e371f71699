"""How long decoding may take, predicted from a picture's size and structure before anything is decoded."""

from PIL import Image

from osteolens.errors import TooCostly

MAX_SECONDS = 2.0
SAVE_AGAIN = "save it as an 8-bit grey PNG, or smaller"

# Nanoseconds of CPU, measured on noise and rounded up.
_NS_PER_PIXEL = {"BMP": 15.0, "WEBP": 30.0, "HEIF": 60.0, "AVIF": 60.0}
_NS_PER_BYTE = {"BMP": 0.0, "WEBP": 45.0, "HEIF": 80.0, "AVIF": 80.0}
_NS_PER_RUN_LENGTH_BYTE = 1000.0  # Pillow's reader of these is written in Python


def check_cost(kind: str, seconds: float, remedy: str) -> None:
    """Refuse a picture that would keep a processor busy for too long.

    Args:
        kind: Name of the format.
        seconds: Predicted CPU time of decoding.
        remedy: What to send instead.

    Raises:
        TooCostly: The prediction is above `MAX_SECONDS`.
    """
    if seconds > MAX_SECONDS:
        raise TooCostly(
            f"decoding the {kind} would take about {seconds:.1f} s of processor time",
            f"at most {MAX_SECONDS:g} s: {remedy}",
        )


def seconds(image: Image.Image, data: bytes) -> float:
    """Predicted CPU seconds of decoding a picture whose structure holds no loops.

    Args:
        image: Opened, not decoded.
        data: The file.
    """
    width, height = image.size
    kind = str(image.format)
    work = width * height * _NS_PER_PIXEL[kind] + len(data) * _NS_PER_BYTE[kind]
    if "rle" in str(getattr(image, "tile", "")):
        work += len(data) * _NS_PER_RUN_LENGTH_BYTE
    return work / 1e9
