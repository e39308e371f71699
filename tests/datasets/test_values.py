import math

import pytest

from osteolens.datasets import values


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        ("F", "female"), ("f", "female"), ("female", "female"), ("Female", "female"), ("weiblich", "female"),
        ("w", "female"), ("W", "female"), ("Frau", "female"), ("M", "male"), ("m", "male"), ("male", "male"),
        ("männlich", "male"), ("MA\u0308NNLICH", "male"), ("maennlich", "male"), ("", ""),
    ],
)  # fmt: skip
def test_the_usual_words_for_sex(text, sex):
    assert values.sex(text) == sex


@pytest.mark.parametrize("text", ["0", "1", "2", "unknown", "d", "mf"])
def test_a_sex_that_is_not_clear_is_refused(text):
    with pytest.raises(ValueError, match=f"sex is '{text}'.*say female or male"):
        values.sex(text)


@pytest.mark.parametrize(
    ("text", "decimal_comma", "number"),
    [("-1.5", False, -1.5), ("-1,5", True, -1.5), ("-1.5", True, -1.5), ("\u22121.5", False, -1.5), ("2", True, 2.0)],
)
def test_numbers(text, decimal_comma, number):
    assert values.number(text, "t_score", decimal_comma) == number


def test_an_empty_cell_is_no_number():
    assert math.isnan(values.number("", "age", False))


@pytest.mark.parametrize(
    ("text", "name", "decimal_comma", "message"),
    [
        ("-1,5", "t_score", False, "a decimal comma is read only where commas do not separate columns"),
        ("1.234,5", "t_score", True, "not a number such as -1.5"),
        ("1,2,3", "t_score", True, "not a number such as -1.5"),
        ("1_0", "age", False, "not a number such as 63"),
        ("130.5", "age", False, "expected 0 to 130, such as 63"),
        ("162", "height_m", False, "expected 0.3 to 2.5, such as 1.62"),
        ("nan", "weight_kg", False, "expected 2 to 400"),
        ("2026-05-01 00:00:00", "t_score", True, "not a number such as -1.5"),
    ],
)
def test_other_numbers_are_refused_with_an_example(text, name, decimal_comma, message):
    with pytest.raises(ValueError, match=message):
        values.number(text, name, decimal_comma)


def test_labels_that_differ_in_case():
    assert values.differ_in_case(["Mild", "mild", "severe"]) == [["Mild", "mild"]]
