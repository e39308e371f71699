"""The directories of a TIFF: which tags each of its pages has, and their values (TIFF 6.0, section 2; BigTIFF)."""

import struct
from dataclasses import dataclass, field

from osteolens.errors import InputTooLarge, UnreadableImage

MAX_PAGES = 1_000
MAX_ENTRIES = 500
MAX_SEGMENTS = 65_536
COMPLETE = "is the file complete?"

_WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type; 1 for text and the rest."""
_SUB_PAGES = 330


@dataclass
class Directory:
    """Entries of one page: tag -> (type, count, where the value lies)."""

    data: bytes
    order: str
    entries: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def numbers(self, tag: int, default: tuple[int, ...] = (), most: int = MAX_SEGMENTS) -> tuple[int, ...]:
        """Whole numbers of a tag."""
        if tag not in self.entries:
            return default
        kind, count, _ = self.entries[tag]
        if kind not in _WHOLE:
            raise UnreadableImage(f"the TIFF's tag {tag} has type {kind}, which is no whole number", COMPLETE)
        if count > most:
            raise InputTooLarge(f"the TIFF's tag {tag} lists {count:,} values", f"at most {most:,}")
        return struct.unpack(f"{self.order}{count}{_WHOLE[kind]}", self.raw(tag))

    def number(self, tag: int, default: int) -> int:
        """First whole number of a tag."""
        return next(iter(self.numbers(tag)), default)

    def raw(self, tag: int) -> bytes:
        """Bytes of a tag's value; none without the tag."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        size = count * _SIZES.get(kind, 1)
        if place + size > len(self.data):
            raise UnreadableImage(f"the TIFF breaks off: its tag {tag} ends behind the file's last byte", COMPLETE)
        return self.data[place : place + size]


def directories(data: bytes) -> list[Directory]:
    """All pages in the order of the file, sub-images behind them."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    header, place, link = (8, "Q", 8) if big else (4, "I", 4)
    if len(data) < header + link:
        raise UnreadableImage("the TIFF breaks off in its header", COMPLETE)
    (first,) = struct.unpack_from(order + place, data, header)
    pages: list[Directory] = []
    waiting, seen = [first], set()
    while waiting:
        offset = waiting.pop(0)
        if offset in seen:  # a page may name itself as the next one: a loop without an end
            continue
        seen.add(offset)
        page, following = _directory(data, offset, order, big)
        pages.append(page)
        waiting = ([following] if following else []) + waiting + [sub for sub in page.numbers(_SUB_PAGES) if sub]
        if len(pages) + len(waiting) > MAX_PAGES:
            raise InputTooLarge(f"the TIFF has more than {MAX_PAGES:,} pages", "send one page, the film")
    return pages


def _directory(data: bytes, offset: int, order: str, big: bool) -> tuple[Directory, int]:
    """One page's entries, and where the next page lies (0: nowhere)."""
    count_code, entry_code, link_code = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    link_size, head = struct.calcsize("<" + link_code), struct.calcsize("<" + count_code)
    cut = UnreadableImage(f"the TIFF breaks off: a page's entries lie behind its last byte, {len(data):,}", COMPLETE)
    if offset + head > len(data):
        raise cut
    (count,) = struct.unpack_from(order + count_code, data, offset)
    if count > MAX_ENTRIES:
        raise InputTooLarge(f"a page of the TIFF has {count:,} entries", f"at most {MAX_ENTRIES}")
    entry_size = struct.calcsize("<" + entry_code)
    end = offset + head + count * entry_size
    if end + link_size > len(data):
        raise cut
    page = Directory(data, order)
    for place in range(offset + head, end, entry_size):
        tag, kind, length, where = struct.unpack_from(order + entry_code, data, place)
        fits = length * _SIZES.get(kind, 1) <= link_size  # then the value stands in the entry itself
        page.entries[tag] = (kind, length, place + entry_size - link_size if fits else where)
    return page, struct.unpack_from(order + link_code, data, end)[0]
