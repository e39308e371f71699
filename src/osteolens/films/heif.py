"""HEIC and AVIF, which phones write, where a decoder for them is installed."""

import io

from PIL import Image, features

from osteolens.errors import UnsupportedType

KINDS = ("HEIC", "AVIF")
_HINT = "save it as JPEG or PNG, or install the decoder: pip install 'osteolens[heif]'"


def opened(data: bytes, kind: str) -> Image.Image:
    """The picture with its size known and its pixels not decoded yet.

    Args:
        data: The file.
        kind: `HEIC` or `AVIF`.

    Raises:
        UnsupportedType: No decoder is installed.
        OSError, SyntaxError, ValueError, RuntimeError: The file's structure is damaged.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedType(f"found a picture as {kind}, for which no decoder is installed", _HINT) from error
    if kind == "AVIF":
        if not features.check("avif"):
            raise UnsupportedType("found a picture as AVIF, which this build of Pillow cannot decode", _HINT)
        return Image.open(io.BytesIO(data), formats=["AVIF"])
    picture: Image.Image = pillow_heif.HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]
    return picture
