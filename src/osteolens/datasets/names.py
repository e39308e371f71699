"""Names of columns, and names of files as tables give them."""

# A Path takes ten times as long, and a batch has millions of names.
# ruff: noqa: PTH118
import os
import unicodedata

FILE, ID, LABEL, GROUP = "file", "id", "label", "group"
WINDOWS = "cp1252"
"""Encoding of tables that are not UTF-8."""


def fold(name: str) -> str:
    """A column's name for comparison: without spaces around it, in lower case, composed."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


def composed(text: str) -> str:
    """A label or group without spaces around it, in composed form (NFC): macOS decomposes the names of folders."""
    return unicodedata.normalize("NFC", text.strip())


def find_file(folder: str, cell: str, encoding: str = "utf-8") -> str:
    """A film's name as it stands in its folder, where a table names it with other bytes.

    Tried in turn: the bytes that the table holds, the name as it reads, the same without spaces around it, and that in
    composed (NFC) and decomposed (NFD) form, and with slashes for backslashes. Where nothing is there, it is the name
    without spaces.

    Args:
        folder: What names are relative to.
        cell: As it stands in the table.
        encoding: The table's encoding.
    """
    trimmed = cell.strip()
    forms = [cell, trimmed, *(unicodedata.normalize(form, trimmed) for form in ("NFC", "NFD"))]
    forms.append(trimmed.replace("\\", "/"))
    if encoding == WINDOWS:
        forms.insert(0, os.fsdecode(trimmed.encode(encoding, "surrogateescape")))
    return next((form for form in dict.fromkeys(forms) if _is_there(folder, form)), trimmed)


def _is_there(folder: str, name: str) -> bool:
    try:
        return os.path.lexists(os.path.join(folder, name))
    except ValueError:  # a zero byte
        return False
