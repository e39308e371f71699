from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.films import film
from torch import Tensor, nn

from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.evaluation.maps.checks import check_maps, choose_examples, mean, passes
from osteolens.evaluation.maps.findings import MapChecks, read_map_checks
from osteolens.evaluation.maps.runs import Unseen
from osteolens.films.prepare import Geometry, Prepared
from osteolens.models import KneeModel
from osteolens.parameters import VectorScaling

SIDE = 40
LABELS = ("dark", "bright")
WHOLE = Geometry((SIDE, SIDE), (0, 0, SIDE, SIDE), (SIDE, SIDE), (0, 0), (SIDE, SIDE))


class Cells(nn.Module):
    """How bright each cell of a 4 x 4 grid is, beyond what a blurred one would be."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(1, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        cells: Tensor = self.scale(nn.functional.relu(nn.functional.avg_pool2d(x[:, :1], 10) - 0.8))
        return cells


def model() -> KneeModel:
    """Says `bright` the more, the more light there is: its evidence is where the light is."""
    torch.manual_seed(0)
    made = KneeModel(Cells(), 2, 2, has_t_score=False, mean=[0.0], std=[1.0])
    with torch.no_grad():
        made.backbone.scale.weight.copy_(torch.tensor([[1.0], [0.5]]).view(2, 1, 1, 1))
        made.classifier.weight.copy_(torch.tensor([[-50.0, 0.0], [100.0, 100.0]]))
        made.classifier.bias.copy_(torch.tensor([1.0, 0.0]))
    return made.eval().requires_grad_(False)


def lit(row: int, column: int) -> Prepared:
    """One bright cell of the grid on a black film."""
    picture = np.zeros((1, SIDE, SIDE), np.uint8)
    picture[0, 10 * row : 10 * row + 10, 10 * column : 10 * column + 10] = 255
    return Prepared(picture, WHOLE)


def films(count: int, start: int = 0) -> list[Film]:
    return [replace(film("bright", f"g{n // 2}"), file=f"{n}.png") for n in range(start, start + count)]


@pytest.fixture(scope="module")
def checks() -> MapChecks:
    cells = [(0, 0), (1, 3), (3, 2), (3, 0), (0, 2), (3, 3)]
    parts = [
        Unseen(model(), films(4), [lit(*cell) for cell in cells[:4]]),
        Unseen(model(), films(2, 4), [lit(*cell) for cell in cells[4:]]),
    ]
    steps: list[int] = []
    checks = check_maps(parts, LABELS, None, steps.append)
    assert sum(steps) == passes(parts)
    return checks


def test_films_of_all_models_are_counted(checks: MapChecks) -> None:
    assert (checks.films, checks.groups, checks.flat) == (6, 3, 0)


def test_a_map_that_shows_the_evidence_beats_both_controls(checks: MapChecks) -> None:
    named = {metric.name: metric for metric in checks.differences}
    for order in ("random", "centre"):
        assert named[f"deletion, map less {order}"].high < 0
        assert named[f"insertion, map less {order}"].low > 0
    areas = {(curve.kind, curve.order): curve.area.value for curve in checks.curves}
    difference = areas["deletion", "map"] - areas["deletion", "random"]
    assert named["deletion, map less random"].value == pytest.approx(difference)


def test_every_curve_has_a_point_per_share(checks: MapChecks) -> None:
    assert len(checks.curves) == 6
    assert all(len(curve.probability) == len(checks.shares) for curve in checks.curves)


def test_stages_are_named_in_order(checks: MapChecks) -> None:
    assert [metric.name for metric in checks.cascade] == ["heads", "scale"]


def test_mass_is_compared_with_the_area(checks: MapChecks) -> None:
    outside = checks.regions[0]
    assert outside.name == "outside the body"
    # The body is the lit cell, a sixteenth of the film, give or take its outline.
    assert outside.area.value == pytest.approx(15 / 16, abs=0.02)
    # The map is that cell enlarged; at an edge of the film it reaches over one side less.
    assert 0.1 < outside.mass.value < 0.5
    assert outside.difference.value == pytest.approx(outside.mass.value - outside.area.value)


def test_the_share_in_the_joint_band_is_of_the_films_that_have_one(checks: MapChecks) -> None:
    assert "joint band" not in {region.name for region in checks.regions}
    cell, none = np.zeros((2, SIDE, SIDE), bool)
    cell[10:20, 10:20] = True
    part = Unseen(model(), films(2), [lit(1, 1), lit(2, 2)], [cell, none])
    [band] = [region for region in check_maps([part], LABELS, None).regions if region.name == "joint band"]
    assert band.films == 1
    assert band.area.value == pytest.approx(1 / 16)
    # Enlarged, the cell's map falls to 0 over its neighbours: 100 pixels of 20 x 20, the heart of the pyramid, hold
    # (1 - 1/4)^2 of it.
    assert band.mass.value == pytest.approx(9 / 16, abs=0.02)


def test_height_of_the_centre_of_mass(checks: MapChecks) -> None:
    heights = (np.array([0, 1, 3, 3, 0, 3]) + 0.5) / 4
    assert checks.height is not None
    # A cell at the edge is enlarged towards the middle only.
    assert checks.height.value == pytest.approx(heights.mean(), abs=0.05)


def test_a_map_of_zeros_counts_as_flat_and_for_nothing_else() -> None:
    part = Unseen(model(), films(2), [lit(1, 1), Prepared(np.zeros((1, SIDE, SIDE), np.uint8), WHOLE)])
    checks = check_maps([part], LABELS, None)
    assert (checks.films, checks.flat) == (2, 1)
    assert checks.regions[0].films == 1


def test_the_explained_label_is_the_one_that_is_answered() -> None:
    """A calibration that turns the answers round turns the maps round as well."""
    changed = model()
    changed.classifier.weight[0, 1] = 200.0  # now cells speak for `dark` too, only less so
    part = Unseen(changed, films(2), [lit(1, 1), lit(2, 2)])
    turned = VectorScaling(scale=(1.0, 1.0), bias=(2.0, -2.0))
    plain, other = (check_maps([part], LABELS, calibration) for calibration in (None, turned))
    assert {example.explained for example in plain.examples} == {"bright"}
    assert {example.explained for example in other.examples} == {"dark"}
    first = [next(c for c in checks.curves if c.kind == "deletion").probability[0] for checks in (plain, other)]
    assert sum(first) == pytest.approx(1)  # the probability of one label, and that of the other
    assert plain.served


def test_maps_that_are_all_empty_cannot_be_checked() -> None:
    part = Unseen(model(), films(2), [lit(1, 1), lit(2, 2)])
    with pytest.raises(DataError, match="every map is zero throughout"):
        check_maps([part], LABELS, VectorScaling(scale=(1.0, 1.0), bias=(200.0, -200.0)))


def test_findings_survive_the_file(checks: MapChecks, tmp_path: Path) -> None:
    checks.write(tmp_path / "maps.json")
    assert read_map_checks(tmp_path / "maps.json") == checks


@pytest.mark.parametrize("content", [None, "", "{}", '{"films": 3}'])
def test_a_wrong_file_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "maps.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"maps\.json is not what"):
        read_map_checks(path)


def test_mean_counts_films_and_draws_groups() -> None:
    metric = mean("m", np.array([1.0, 1.0, 4.0, np.nan]), ["a", "a", "b", "c"])
    assert metric.value == pytest.approx(2)
    # Resamples of two groups: all a (1), all b (4), one of each (2); c has nothing to say.
    assert (metric.low, metric.high) == (1, 4)


def test_films_of_a_group_are_drawn_together() -> None:
    metric = mean("m", np.array([0.0, 3.0, 0.0, 3.0]), ["a", "a", "b", "b"])
    # Whichever groups are drawn, their mean is the same; films drawn one by one would give 0 to 3.
    assert (metric.value, metric.low, metric.high) == (1.5, 1.5, 1.5)


def test_examples_are_chosen_by_rank_and_ties_by_file() -> None:
    named = [replace(film(label), file=file) for label, file in zip("aaaaab", "ecdbaz", strict=True)]
    sure = np.array([0.5, 0.5, 0.5, 0.9, 0.1, 0.3])
    probabilities = np.stack([sure, 1 - sure], axis=1)
    chosen = choose_examples(named, ("a", "b"), probabilities, probabilities.argmax(axis=1))
    # Of label a in order: a (0.1), c, d, e (0.5 each), b (0.9); ranks 0.4, 2 and 3.6 of 0 to 4.
    assert [(e.label, e.percentile, e.file) for e in chosen if e.label == "a"] == [
        ("a", 10, "a"), ("a", 50, "d"), ("a", 90, "b"),
    ]  # fmt: skip
    assert [e.file for e in chosen if e.label == "b"] == ["z"] * 3
    assert chosen[0].explained == "b"
    assert chosen[-1].probability == pytest.approx(0.7)
