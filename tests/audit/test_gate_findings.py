"""What the gate says of films for training: by the shipped one, on drawn knees."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from osteolens.audit.data_set import read_data_set
from osteolens.audit.findings import Finding
from osteolens.audit.gate_findings import gate_findings
from osteolens.audit.rows import Naming
from osteolens.audit.run import collect
from osteolens.films.sample import drawn_knee


def save(folder: Path, name: str, pixels: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), pixels)


def findings(folder: Path) -> tuple[list[Finding], list[str]]:
    data = read_data_set(folder, Naming())
    return gate_findings(collect(data, None, Console(quiet=True)))


def drawn(seed: int) -> np.ndarray:
    return drawn_knee(512, 448, seed)


@pytest.fixture
def knees(tmp_path: Path) -> Path:
    for seed in range(4):
        save(tmp_path / "films", f"{seed}.png", drawn(seed))
    return tmp_path / "films"


def test_films_that_lie_otherwise_and_other_pictures_are_named_with_their_files(knees: Path) -> None:
    save(knees, "dark.png", 255 - drawn(4))
    save(knees, "down.png", np.rot90(drawn(5), 2))
    rows, columns = np.mgrid[0:400, 0:500]
    save(knees, "stripes.png", np.uint8(127 + 120 * np.sin(columns / 9) * np.sin(rows / 40)))
    (lying, refused), remarks = findings(knees)
    assert (lying.kind, lying.severity, lying.count) == ("turned-or-inverted", "warning", 2)
    assert lying.title == "2 films lie turned or inverted."
    assert sorted(lying.lines) == ["dark.png: inverted", "down.png: turned_180"]
    assert (refused.kind, refused.count) == ("refused-by-gate", 1)
    assert refused.lines[0].startswith("stripes.png: ")
    assert "1 not_a_knee" in refused.title
    assert remarks == []


def test_films_as_they_should_be_give_no_finding(knees: Path) -> None:
    assert findings(knees) == ([], [])


def test_of_films_of_another_joint_nothing_is_said_one_by_one(tmp_path: Path) -> None:
    for seed in range(3):
        save(tmp_path, f"{seed}.png", np.random.default_rng(seed).integers(0, 255, (300, 300), np.uint8))
    nothing, (remark,) = findings(tmp_path)
    assert nothing == []
    assert remark.startswith("whether single pictures are knees from the front: the gate refuses 3 of 3")
