r"""Reads and writes Java's properties files: one `name=value` a line, `#` for comments.

Java takes each byte for a letter of Latin-1 and writes all others as `\uXXXX`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from osteolens.errors import ServerError

_ESCAPE = re.compile(r"((?:\\u[0-9A-Fa-f]{4})+)|\\(.)")
_NOT_PLAIN = re.compile(r"[^ -~]|\\")


def read_properties(path: Path) -> dict[str, str]:
    """The settings of a properties file, which may also be in UTF-8.

    Raises:
        ServerError: There is no such file, or it is a folder or not readable.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ServerError(f"no {path}: start in the checkout, or give the path of a config.properties") from None
    except OSError as error:
        raise ServerError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith(("#", "!")))
    return {name.strip(): _ESCAPE.sub(_unescaped, value.strip()) for name, value in pairs}


def write_properties(path: Path, settings: Mapping[str, str]) -> None:
    """Write settings so that Java and Python read the same, whatever letters a path has."""
    lines = (f"{name}={_NOT_PLAIN.sub(_escaped, value)}\n" for name, value in settings.items())
    path.write_text("".join(lines), encoding="ascii")


def _escaped(letter: re.Match[str]) -> str:
    units = letter[0].encode("utf-16-be")
    return "".join(f"\\u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1]:
        return bytes.fromhex(escape[1].replace("\\u", "")).decode("utf-16-be", "replace")
    return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(escape[2], escape[2])
