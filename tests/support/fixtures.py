"""Fixtures of several packages: small films whose brightness, T-score and age follow their class."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from osteolens.labels import LABELS
from support.films import AGE, GREY, T_SCORE, TINY, save_film, write_rows


@pytest.fixture
def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """30 films of 30 groups, 10 of each class."""
    rows = []
    for index in range(30):
        label = LABELS[index % 3]
        save_film(tmp_path / f"{index}.png", GREY[label], index)
        sex = "female" if index % 2 else "male"
        row = {"file": f"{index}.png", "label": label, "group": f"g{index}", "t_score": T_SCORE[label]}
        rows.append(row | {"age": AGE[label] + index % 5, "sex": sex})
    return write_rows(tmp_path / "films.csv", rows)


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forests of five trees, where a test is not about how well they predict: they take nine tenths of an audit."""
    monkeypatch.setattr("osteolens.audit.forest._TREES", 5)


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.format(epochs=4))
    return path
