import pytest

from osteolens.labels import label_from_t_score


@pytest.mark.parametrize(
    ("t_score", "label"),
    [(0.3, "normal"), (-1.0, "normal"), (-1.01, "osteopenia"), (-2.49, "osteopenia"), (-2.5, "osteoporosis")],
)
def test_who_boundaries(t_score: float, label: str) -> None:
    assert label_from_t_score(t_score) == label
