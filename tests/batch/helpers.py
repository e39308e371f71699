"""Films that are only bytes (the fake server needs no picture), and a reader of the results."""

from pathlib import Path
from typing import Any

from pyarrow import parquet

from .fake_server import LABELS, shares_of

OUT = Path("out")


def make_films(folder: Path, count: int = 20) -> dict[str, bytes]:
    """Content by absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    films = {str((folder / f"{number:03}.png").absolute()): f"film {number}".encode() for number in range(count)}
    for path, content in films.items():
        Path(path).write_bytes(content)
    return films


def right_label(content: bytes, model: str = "efficientnet") -> str:
    shares = shares_of(content, model)
    return LABELS[shares.index(max(shares))]


def results(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(out / "results.parquet").to_pylist()
    return rows


def check_rows(out: Path, films: dict[str, bytes], models: tuple[str, ...] = ("efficientnet",)) -> None:
    """Every film and model has exactly one row, with that film's and model's own answer."""
    rows = results(out)
    assert sorted((row["path"], row["model"]) for row in rows) == sorted(
        (path, model) for path in films for model in models
    )
    for row in rows:
        content = films[row["path"]]
        if content.startswith(b"bad"):
            assert (row["status"], row["error_code"], row["label"]) == ("refused", "unsupported_type", None)
        else:
            assert row["status"] == "answered", row
            shares = [row[f"probability_{label}"] for label in LABELS]
            assert shares == shares_of(content, row["model"])
            assert row["label"] == right_label(content, row["model"])
