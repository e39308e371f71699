import pytest

from osteolens.labels import are_numbers, in_natural_order, label_from_t_score


@pytest.mark.parametrize(
    ("t_score", "label"),
    [(0.3, "normal"), (-1.0, "normal"), (-1.01, "osteopenia"), (-2.49, "osteopenia"), (-2.5, "osteoporosis")],
)
def test_who_boundaries(t_score: float, label: str) -> None:
    assert label_from_t_score(t_score) == label


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "2", "0", "2"], ("0", "2", "10")),
        (["0.5", "-1", "10"], ("-1", "0.5", "10")),
        (["KL10", "kl2", "KL0"], ("KL0", "kl2", "KL10")),
        (["severe", "Mild", "none"], ("Mild", "none", "severe")),
        (["2", "none", "10"], ("2", "10", "none")),
        ([], ()),
    ],
)
def test_labels_sort_as_people_sort_them(labels, order):
    assert in_natural_order(labels) == order
    assert in_natural_order(reversed(labels)) == order


def test_numbers_are_told_from_names():
    assert are_numbers(["0", "1.5", "-2"])
    assert not are_numbers(["0", "KL1"])
    assert not are_numbers(["nan", "1"])
