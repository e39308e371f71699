"""Names of columns, and file names as they are written in tables."""

# A Path takes ten times as long, and a batch has millions of names.
# ruff: noqa: PTH118
import os
import unicodedata

FILE, ID, LABEL, GROUP = "file", "id", "label", "group"
WINDOWS = "cp1252"
"""Encoding of tables that are not UTF-8."""


def fold(name: str) -> str:
    """Normalise a column's name for comparison: without spaces around it, case-folded, in composed form (NFC)."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


def composed(text: str) -> str:
    """Normalise a label or group: no spaces around it, composed form (NFC), as macOS decomposes names of folders."""
    return unicodedata.normalize("NFC", text.strip())


def find_file(folder: str, cell: str, encoding: str = "utf-8") -> str:
    """Find a film's name in its folder, where the table may spell it with other bytes.

    Tried in turn: the bytes in the table, the decoded name, the name without spaces around it, and that one in composed
    (NFC) and decomposed (NFD) form and with slashes instead of backslashes. If no such file exists, the result is the
    name without spaces.

    Args:
        folder: Folder that names are relative to.
        cell: The cell of the table.
        encoding: Encoding of the table.
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
    except ValueError:  # a zero byte in the name
        return False
