"""The chunks of a PNG, counted and checked before it is decoded."""

import struct
import zlib
from dataclasses import dataclass

from osteolens.errors import TooCostly, UnreadableImage

MAX_CHUNKS = 20_000  # encoders write at least 8 KiB of pixels into each
MAX_SIDE_CHUNKS = 1000

_DAMAGED = "send the original file again: this copy was cut or changed on its way"
SAVE_AGAIN = "save it again as a grey PNG without interlacing"
_PALETTE = 3
_CHANNELS = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}  # by colour type (PNG, 11.2.2)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_INFLATED_AT_ONCE = 1024**2

# Nanoseconds of CPU, measured on noise and rounded up.
_NS_PER_SAMPLE = 8.0
_NS_PER_BYTE = 8.0
_NS_PER_DEEP_SAMPLE = 20.0


@dataclass(frozen=True)
class Layout:
    """Header of a PNG, and where its pixels lie.

    Attributes:
        width, height: Pixels.
        channels: Samples per pixel.
        bits: Bits of a sample: 1, 2, 4, 8 or 16.
        interlaced: Whether the pixels come in seven passes.
        pixel_chunks: Where the compressed pixels lie in the file, as pairs of start and end.
    """

    width: int
    height: int
    channels: int
    bits: int
    interlaced: bool
    pixel_chunks: tuple[tuple[int, int], ...]

    @property
    def seconds(self) -> float:
        """Predicted CPU seconds of decoding."""
        samples = self.width * self.height * self.channels
        work = samples * (_NS_PER_DEEP_SAMPLE if self.bits == 16 else _NS_PER_SAMPLE)
        return (work * (2 if self.interlaced else 1) + self.file_bytes * _NS_PER_BYTE) / 1e9

    @property
    def file_bytes(self) -> int:
        """Bytes of compressed pixels."""
        return sum(end - start for start, end in self.pixel_chunks)

    @property
    def size(self) -> int:
        """Bytes of all rows, each behind the number of its filter (PNG, 7.2 and 8.1)."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * self.channels * self.bits + 7) // 8)
        return total


def examine(data: bytes) -> Layout:
    """Count the chunks and check those that hold pixels against their checksums.

    Raises:
        TooCostly: More chunks than any film has.
        UnreadableImage: A chunk is cut off, damaged or missing.
    """
    position, side_chunks = 8, 0
    header, palette = b"", False
    pixel_chunks: list[tuple[int, int]] = []
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            raise UnreadableImage("the PNG cannot be decoded: it is truncated: its last chunk is missing", _DAMAGED)
        length, name = struct.unpack_from(">I4s", data, position)
        start, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise UnreadableImage(
                f"the PNG cannot be decoded: it is truncated: the chunk at byte {position} breaks off", _DAMAGED
            )
        if name[0] & 0x20:  # ancillary (PNG, 5.4): not needed for the pixels, so damage there is none of ours
            side_chunks += 1
            if side_chunks > MAX_SIDE_CHUNKS:
                raise TooCostly(f"the PNG has more than {MAX_SIDE_CHUNKS} chunks beside its pixels", SAVE_AGAIN)
        elif zlib.crc32(memoryview(data)[position + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise UnreadableImage(
                f"the PNG cannot be decoded: the chunk at byte {position} has a wrong checksum", _DAMAGED
            )
        if name == b"IHDR" and not header:
            header = data[start:end]
        elif name == b"IDAT":
            pixel_chunks.append((start, end))
        palette = palette or name == b"PLTE"
        if name == b"IEND":
            return _layout(header, palette, tuple(pixel_chunks))
        position = end + 4
    raise TooCostly(f"the PNG has more than {MAX_CHUNKS} chunks", SAVE_AGAIN)


def check_complete(data: bytes, layout: Layout) -> None:
    """Refuse a file whose compressed pixels end before the last row: Pillow would leave the rest black.

    Raises:
        UnreadableImage: Rows are missing.
    """
    inflater = zlib.decompressobj()
    missing = layout.size
    try:
        for start, end in layout.pixel_chunks:
            waiting: bytes | memoryview = memoryview(data)[start:end]
            while missing > 0 and len(waiting):
                missing -= len(inflater.decompress(waiting, _INFLATED_AT_ONCE))
                waiting = inflater.unconsumed_tail
    except zlib.error as error:
        raise UnreadableImage(f"the PNG cannot be decoded: {error}", _DAMAGED) from error
    if missing > 0:
        raise UnreadableImage(f"the PNG is truncated: {missing:,} bytes of its pixels are missing", _DAMAGED)


def _layout(header: bytes, palette: bool, pixel_chunks: tuple[tuple[int, int], ...]) -> Layout:
    if len(header) != 13 or header[9] not in _CHANNELS or header[8] not in (1, 2, 4, 8, 16):
        raise UnreadableImage("the PNG cannot be decoded: its header makes no sense", _DAMAGED)
    width, height, bits, colour = struct.unpack_from(">IIBB", header)
    if colour == _PALETTE and not palette:
        raise UnreadableImage("the PNG cannot be decoded: its colours are missing (no PLTE chunk)", SAVE_AGAIN)
    return Layout(width, height, _CHANNELS[colour], bits, bool(header[12]), pixel_chunks)
