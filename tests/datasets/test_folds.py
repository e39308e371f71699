import numpy as np
import pytest

from osteolens.datasets.folds import PARTS, assign_folds, mark_validation, split
from osteolens.errors import DataError

LABELS = ["normal", "osteopenia", "osteopenia", "osteoporosis"] * 40
GROUPS = [f"g{index // 2}" for index in range(160)]


def parts_of(seed: int = 0, **shares: float) -> np.ndarray:
    return split(LABELS, GROUPS, **({"validation": 0.15, "test": 0.25} | shares), seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_on_one_side_only(seed):
    sides: dict[str, set[str]] = {}
    for group, part in zip(GROUPS, parts_of(seed), strict=True):
        sides.setdefault(group, set()).add(str(part))
    assert {len(side) for side in sides.values()} == {1}


def test_shares_and_strata():
    parts, labels = parts_of(), np.array(LABELS)
    assert [(parts == part).sum() for part in PARTS] == [96, 24, 40]
    for part, share in zip(PARTS, (0.6, 0.15, 0.25), strict=True):
        inside = (labels[parts == part] == "osteoporosis").sum()
        assert inside == pytest.approx(40 * share, abs=2)


def test_the_seed_decides():
    assert (parts_of(1) == parts_of(1)).all()
    assert (parts_of(1) != parts_of(2)).any()


def test_each_film_has_one_fold_and_folds_are_even():
    folds = assign_folds(LABELS, GROUPS, 5, seed=0)
    assert np.bincount(folds).tolist() == [32] * 5


def test_too_few_groups():
    labels = ["normal"] * 20 + ["osteoporosis"] * 20
    groups = [f"n{index}" for index in range(20)] + ["same", "other"] * 10
    with pytest.raises(DataError, match="'osteoporosis' occurs in 2 groups, too few"):
        split(labels, groups, validation=0.2, test=0.25, seed=0)


def test_held_out_films_are_the_test_part_and_the_rest_is_shared_out():
    held_out = [index < 40 for index in range(160)]
    parts = split(LABELS, GROUPS, validation=0.15, test=0.25, seed=0, held_out=held_out)
    assert (parts[:40] == "test").all()
    assert [(parts == part).sum() for part in PARTS] == [96, 24, 40]


def test_a_group_that_is_held_out_in_part_is_refused():
    with pytest.raises(DataError, match="1 groups are held out and trained on at once, the first is 'g0'"):
        split(LABELS, GROUPS, validation=0.15, test=0.25, seed=0, held_out=[index == 0 for index in range(160)])


def test_no_validation_part_where_none_is_wanted():
    assert set(parts_of(validation=0)) == {"train", "test"}


def test_a_validation_part_counts_what_it_needs():
    labels, groups = ["a", "b"] * 9, [f"g{index}" for index in range(18)]
    parts = np.full(18, "train", dtype="U10")
    with pytest.raises(DataError, match=r"'a' occurs in 9 groups, too few to take 3 of every 10 as validation groups"):
        mark_validation(parts, labels, groups, 0.3, 0)
    with pytest.raises(DataError, match=r"data\.validation leaves no group to train on"):
        mark_validation(parts, labels, groups, 1.3, 0)
    assert (parts == "train").all()


def test_a_small_share_is_a_tenth():
    parts = parts_of(validation=0.02)
    assert (parts == "validation").sum() == 12  # of 120 films that are not test films
