"""The form takes what the server takes."""

from datetime import date
from typing import Any

import pytest
from films.forms import FACTS, FactsForm
from films.models import Film
from films.tables import harmless
from films.terms import share as percent

from osteolens.errors import InvalidOption
from osteolens.options import parse_options


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", ["0", "120", "-0.1", "120.1", "x"]),
        ("sex", ["female", "male", "other"]),
        ("weight_kg", ["2", "400", "1.9", "401"]),
        ("height_m", ["0.3", "2.5", "0.29", "2.51", "162"]),
    ],
)
def test_limits_are_those_of_the_contract(name: str, values: list[str]) -> None:
    def server_takes(value: str) -> bool:
        try:
            parse_options({name: value}, ())
        except InvalidOption:
            return False
        return True

    assert [FactsForm({name: value}).is_valid() for value in values] == [server_takes(value) for value in values]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("age", "200", "Expected years from 0 to 120, such as 63."),
        ("sex", "f", "Expected female or male."),
        ("weight_kg", "1", "Expected kilograms from 2 to 400, such as 71.5."),
        ("height_m", "162", "Expected metres from 0.3 to 2.5, such as 1.62."),
        ("side", "both", "Expected left or right."),
        ("view", "front", "Expected a view position of DICOM: AP, PA, LL or RL."),
        ("taken_on", "yesterday", "Expected a day from 1895 to today, such as 2026-11-24."),
        ("taken_on", "2999-01-01", "Expected a day from 1895 to today, such as 2026-11-24."),
        ("taken_on", "1890-01-01", "Expected a day from 1895 to today, such as 2026-11-24."),
    ],
)
def test_a_refused_fact_says_what_is_expected_with_an_example(name: str, value: str, expected: str) -> None:
    form = FactsForm({name: value})
    assert form.errors == {name: [expected]}
    assert FactsForm({"taken_on": str(date.today())}).is_valid()


def test_facts_go_to_the_server_as_they_were_given() -> None:
    film = Film(age=63.0, sex="female", weight_kg=71.25, height_m=1.6)
    assert film.facts == {"age": "63", "sex": "female", "weight_kg": "71.25", "height_m": "1.6"}
    assert set(film.facts) == set(FACTS)
    assert Film(age=0.0).facts == {"age": "0"}


@pytest.mark.parametrize(
    ("cell", "written"),
    [("=1", "'=1"), ("-1", "-1"), ("-A1", "'-A1"), ("\t=1", "'\t=1"), ("a=1", "a=1"), (-1.5, -1.5), (None, None)],
)
def test_cells_are_harmless(cell: Any, written: Any) -> None:
    assert harmless(cell) == written


def test_nothing_is_shown_as_certain() -> None:
    assert [percent(share) for share in (0, 0.004, 0.005, 0.61, 0.994, 0.996, 1)] == [
        "0%", "below 1%", "below 1%", "61%", "99%", "above 99%", "100%",
    ]  # fmt: skip
