"""Values of cells: numbers within their ranges, sex, yes and no; anything else is refused.

A decimal comma is read wherever commas do not separate columns (`Table.decimal_comma`).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from osteolens.datasets.columns import AGE, HEIGHT, T_SCORE, WEIGHT
from osteolens.datasets.names import fold
from osteolens.quality import Side

NUMBERS = (T_SCORE, AGE, WEIGHT, HEIGHT)
EXAMPLES = {T_SCORE: "-1.5", AGE: "63", WEIGHT: "71.5", HEIGHT: "1.62"}
RANGES = {T_SCORE: (-15.0, 15.0), AGE: (0.0, 130.0), WEIGHT: (2.0, 400.0), HEIGHT: (0.3, 2.5)}
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")
_SEXES = {
    "female": ("female", "f", "weiblich", "w", "woman", "frau"),
    "male": ("male", "m", "männlich", "maennlich", "man", "mann"),
}
_SEX_OF = {word: sex for sex, words in _SEXES.items() for word in words}
SEX_WORDS = ", ".join(word for words in _SEXES.values() for word in words)


def number(text: str, name: str, decimal_comma: bool) -> float:
    """Read a cell as a number; NaN where it is empty.

    Args:
        text: The cell.
        name: One of `NUMBERS`.
        decimal_comma: Whether a comma may take the place of the decimal point.

    Raises:
        ValueError: It is no number, or outside the range of its column.
    """
    if not text:
        return math.nan
    low, high = RANGES[name]
    try:
        if "_" in text:  # Python reads 1_000 as a number
            raise ValueError
        value = float(plain_number(text, decimal_comma))
    except ValueError:
        comma = "; a decimal comma is read only where commas do not separate columns" if "," in text else ""
        raise ValueError(f"{name} is {text!r}, which is not a number such as {EXAMPLES[name]}{comma}") from None
    if not low <= value <= high:
        raise ValueError(f"{name} is {text}, expected {low:g} to {high:g}, such as {EXAMPLES[name]}")
    return value


def plain_number(text: str, decimal_comma: bool) -> str:
    """Rewrite a number's text with a point and a plain minus; other text stays as it is."""
    text = text.replace("\N{MINUS SIGN}", "-")
    return text.replace(",", ".") if decimal_comma and text.count(",") == 1 and "." not in text else text


def sex(text: str) -> str:
    """Read a cell as `female` or `male`, or as empty.

    Raises:
        ValueError: It is another word, or 0 or 1, which mean different things in different data sets.
    """
    if not text:
        return ""
    known = _SEX_OF.get(fold(text))
    if known is None:
        why = "can mean either" if text in ("0", "1", "0.0", "1.0", "2") else "is not known"
        raise ValueError(f"sex is {text!r}, which {why}; say female or male (read are {SEX_WORDS}), or leave it empty")
    return known


def side(text: str) -> Side | None:
    """Read a cell as the side of a knee, or as empty.

    Raises:
        ValueError: It is another word.
    """
    if not text:
        return None
    if fold(text) in ("left", "l", "links"):
        return "left"
    if fold(text) in ("right", "r", "rechts"):
        return "right"
    raise ValueError(f"side is {text!r}; say left or right, or leave it empty for a film of one knee")


def flag(text: str, name: str) -> bool:
    """Read a cell as yes or no; an empty one is no.

    Raises:
        ValueError: It is neither yes nor no.
    """
    value = fold(text)
    if value not in TRUE + FALSE:
        raise ValueError(f"{name} is {text!r}; use 0 or 1")
    return value in TRUE


def differ_in_case(labels: Iterable[str]) -> list[Sequence[str]]:
    """Labels that differ only in case."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(labels):
        alike[fold(name)].append(name)
    return [names for names in alike.values() if len(names) > 1]
