"""What the audit must find by itself on the real films; `group` and `film` of the tables are only the truth."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from osteolens.audit.rows import Naming
from osteolens.audit.run import audit

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "films.csv").is_file(), reason=f"the real films are not in {DATA}"),
]


def table(name: str) -> dict[str, dict[str, str]]:
    with (DATA / name).open(newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def knees_against_films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("audit")
    naming = Naming("kaggle_label", group="")  # without groups: they could help
    assert audit(DATA / "knees.csv", DATA / "films.csv", naming, Naming(group=""), (), out) == 0
    return json.loads((out / "audit.json").read_text())


def test_the_film_of_nearly_every_crop_is_found(knees_against_films: dict[str, Any]) -> None:
    films, knees = table("films.csv"), table("knees.csv")
    there = {row["film"] for row in films.values()}
    crops = {file for file, row in knees.items() if row["relation"] == "crop" and row["film"] in there}
    matches = [{match["first"]["file"], match["second"]["file"]} for match in knees_against_films["matches"]]
    pairs = {
        file
        for file in crops
        if any(
            file in pair and {films[other]["film"] for other in pair & films.keys()} == {knees[file]["film"]}
            for pair in matches
        )
    }
    assert len(crops) > 200
    assert len(pairs) >= 0.98 * len(crops)


def test_different_knees_are_not_called_copies(knees_against_films: dict[str, Any]) -> None:
    groups = {file: row["group"] for name in ("films.csv", "knees.csv") for file, row in table(name).items()}
    pairs = [(match["first"]["file"], match["second"]["file"]) for match in knees_against_films["matches"]]
    assert [pair for pair in pairs if groups[pair[0]] != groups[pair[1]]] == []


def test_contradicting_labels_and_the_format_shortcut_are_found(knees_against_films: dict[str, Any]) -> None:
    findings = {finding["kind"]: finding for finding in knees_against_films["findings"]}
    assert findings["same-picture-two-labels"]["count"] > 100
    assert any("label normal in knees.csv, osteoporosis in films.csv" in line
               for line in findings["same-picture-two-labels"]["lines"])  # fmt: skip
    assert findings["several-labels-in-one-row"]["count"] == 9
    size = next(test for test in knees_against_films["shortcuts"] if test["facts"] == "picture size")
    accuracy = next(metric for metric in size["metrics"] if metric["name"] == "accuracy")
    assert accuracy["low"] > 0.6


def test_the_age_shortcut_of_the_films_is_found(tmp_path: Path) -> None:
    assert audit(DATA / "films.csv", None, Naming(), Naming(), (), tmp_path) == 0
    tests = {test["facts"]: test for test in json.loads((tmp_path / "audit.json").read_text())["shortcuts"]}
    assert tests["age"]["strength"] == "strong"
    assert tests["picture size"]["strength"] == "none"
