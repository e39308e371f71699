"""A made-up collection of published pictures, with each of the real one's oddities."""

from pathlib import Path

from osteolens.card import PreprocessSpec
from support.films import save_film, write_rows

TRUE_LABELS = ("normal", "osteopenia", "osteoporosis")
SPEC = PreprocessSpec(height=64, width=32, crop_borders=False)


def picture_row(folder: Path, index: int, kaggle: str, source: str, group: str, copies: int = 1):
    name = f"{kaggle.split('|')[0]}_{index:04}.png"
    save_film(folder / name, 60 + 5 * index, index)
    return {"file": name, "group": group, "kaggle_label": kaggle, "source_label": source, "copies": copies}


def write_published(folder: Path) -> Path:
    """Two knees each of 18 patients; one picture under two labels, one published twice, one of an unclear film."""
    rows = []
    for patient in range(18):
        kaggle = ("normal", "osteoporosis")[patient % 2]
        source = TRUE_LABELS[patient % 3]
        rows += [picture_row(folder, 2 * patient + knee, kaggle, source, f"g{patient}") for knee in range(2)]
    rows.append(picture_row(folder, 36, "normal|osteoporosis", "normal", "g0", copies=2))
    rows.append(picture_row(folder, 37, "osteoporosis", "normal|osteopenia", "g1", copies=2))
    return write_rows(folder / "knees.csv", rows)
