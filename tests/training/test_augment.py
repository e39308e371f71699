import numpy as np
import pytest
import torch
from support.films import film
from support.training import configuration

from osteolens.training.augment import Augmentation, build_transform, derived_seed, erase_borders, random_gamma
from osteolens.training.cohort import Cohort, epoch_batches
from osteolens.training.config import AugmentSection

OFF = dict.fromkeys(AugmentSection.model_fields, 0.0)
PICTURE = torch.randint(0, 256, (1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def varied(seed: int, epoch: int, index: int, **strengths: float) -> torch.Tensor:
    spec = AugmentSection(**(OFF | strengths)) if strengths else AugmentSection()
    return Augmentation(build_transform(spec), seed, epoch)(PICTURE, index)


def test_seed_epoch_and_index_decide_and_nothing_else():
    first = varied(1, 2, 3)
    torch.manual_seed(99)
    assert torch.equal(first, varied(1, 2, 3))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3)):
        assert not torch.equal(first, varied(*other))
    assert (first.dtype, first.shape) == (torch.uint8, PICTURE.shape)


def test_the_model_s_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    varied(0, 0, 0)
    assert torch.equal(torch.rand(3), expected)


def test_strength_zero_changes_nothing():
    assert torch.equal(Augmentation(build_transform(AugmentSection(**OFF)), 0, 0)(PICTURE, 0), PICTURE)


@pytest.mark.parametrize("name", list(AugmentSection.model_fields))
def test_each_strength_changes_films_by_itself(name):
    strength = 1.0 if name == "blur" else 0.1  # blur is in pixels
    results = [varied(0, 0, index, **{name: strength}) for index in range(40)]
    changed = sum(not torch.equal(result, PICTURE) for result in results)
    assert changed > 0


def test_a_certain_flip_is_a_flip():
    assert torch.equal(varied(0, 0, 0, flip=1.0), PICTURE.flip(-1))


def test_borders_are_black_and_the_inside_stays():
    torch.manual_seed(0)
    white = torch.full((1, 100, 200), 255, dtype=torch.uint8)
    erased = erase_borders(white, 0.2)
    rows, columns = (erased[0] > 0).any(dim=1), (erased[0] > 0).any(dim=0)
    assert 60 <= rows.sum() < 100
    assert 120 <= columns.sum() < 200
    assert (erased[0][rows][:, columns] == 255).all()


def test_gamma_keeps_black_and_white_and_the_order_between():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    torch.manual_seed(1)
    changed = random_gamma(ramp, 0.5).flatten()
    assert changed[[0, 255]].tolist() == [0, 255]
    assert (changed[1:] >= changed[:-1]).all()
    assert not torch.equal(changed, ramp.flatten())


def test_derived_seeds_differ_even_where_sums_agree():
    assert derived_seed(0, 1) != derived_seed(1, 0)
    assert derived_seed(0, 1) == derived_seed(0, 1)


def batches(workers: int, epoch: int = 0) -> list[list[torch.Tensor]]:
    pictures = np.random.default_rng(0).integers(0, 256, (10, 1, 64, 64), dtype=np.uint8)
    films = [film("normal" if index % 2 else "osteopenia", t_score=-index / 10) for index in range(10)]
    cohort = Cohort(films, ("normal", "osteopenia"), pictures, np.full(10, "train"))
    config = configuration(optimisation={"batch_size": 4}, run={"workers": workers})
    return list(epoch_batches(config, cohort, epoch))


@pytest.mark.slow
def test_the_number_of_workers_does_not_matter():
    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_batches_are_whole_shuffled_and_belong_together():
    first, second = batches(0, epoch=0), batches(0, epoch=1)
    assert [len(pictures) for pictures, _, _ in first] == [4, 4]
    order = torch.cat([t_scores for _, _, t_scores in first])
    assert order.tolist() != torch.cat([t_scores for _, _, t_scores in second]).tolist()
    assert len(set(order.tolist())) == 8
    for _, labels, t_scores in first:
        assert labels.tolist() == [1 - round(-10 * value) % 2 for value in t_scores.tolist()]
