import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encoded, knee_like, make_model_folder
from safetensors.torch import load_file
from torch import Tensor, nn

from osteolens import models
from osteolens.card import load_card
from osteolens.errors import CardError, DataError
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes.eager import EagerRuntime
from osteolens.models import Ensemble, KneeModel

FILM = torch.full((1, 1, 4, 4), 51, dtype=torch.uint8)


def constant(logits: list[float], t_score: float, channels: int = 2) -> KneeModel:
    """A member that answers the same to every film."""
    model = KneeModel(nn.Conv2d(1, channels, 2), channels, 2, has_t_score=True, mean=[0.0], std=[1.0])
    nn.init.zeros_(model.classifier.weight)
    nn.init.zeros_(model.regressor.weight)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor(logits))
        model.regressor.bias.fill_(t_score)
    return model.eval().requires_grad_(False)


def test_its_answer_is_the_mean_worked_out_by_hand() -> None:
    """Odds of 9 : 1 and 1 : 4 are probabilities (0.9, 0.1) and (0.2, 0.8); their mean is (0.55, 0.45)."""
    ensemble = Ensemble([constant([math.log(9), 0.0], -1.0), constant([0.0, math.log(4)], -3.0, channels=5)])
    features = ensemble.features(FILM)
    assert features.shape == (1, 2 + 5, 3, 3)
    logits, t_score, _, pooled, member_logits, member_t_score = ensemble.outputs(features)
    torch.testing.assert_close(pooled, features.mean(dim=(2, 3)))
    torch.testing.assert_close(logits.exp(), torch.tensor([[0.55, 0.45]]))
    assert t_score.tolist() == [-2.0]
    torch.testing.assert_close(member_logits, torch.tensor([[[math.log(9), 0.0], [0.0, math.log(4)]]]))
    assert member_t_score.tolist() == [[-1.0, -3.0]]
    assert all(torch.equal(*pair) for pair in zip(ensemble(FILM), (logits, t_score), strict=True))


def test_a_member_that_is_certain_does_not_overflow() -> None:
    ensemble = Ensemble([constant([500.0, -500.0], 0.0), constant([0.0, 0.0], 0.0)])
    torch.testing.assert_close(ensemble(FILM)[0].exp(), torch.tensor([[0.75, 0.25]]))


def test_members_see_the_film_through_their_own_normalisation() -> None:
    members = [constant([0.0, 0.0], 0.0) for _ in range(2)]
    members[1].mean.fill_(0.2)  # the film's grey value: 51 / 255
    nn.init.ones_(members[1].backbone.weight)
    nn.init.zeros_(members[1].backbone.bias)
    parts = Ensemble(members).split(Ensemble(members).features(FILM))
    assert torch.equal(parts[0], members[0].features(FILM))
    torch.testing.assert_close(parts[1], torch.zeros(1, 2, 3, 3))


def test_a_folder_holds_all_members(member_folders: list[Path], ensemble_folder: Path) -> None:
    card = load_card(ensemble_folder)
    assert (card.name, card.architecture) == ("knee", "ensemble")
    assert card.members == ("tf_efficientnet_lite0", "yolov5n")
    first = load_card(member_folders[0])
    assert (card.labels, card.preprocess, card.has_t_score) == (first.labels, first.preprocess, first.has_t_score)
    stored = load_file(ensemble_folder / "weights.safetensors")
    for index, folder in enumerate(member_folders):
        for name, value in load_file(folder / "weights.safetensors").items():
            assert torch.equal(stored.pop(f"members.{index}.{name}"), value)
    assert stored == {}


def test_it_answers_as_its_members_do_together(member_folders: list[Path], ensemble_folder: Path) -> None:
    films = np.stack([knee_like(96, 96, seed)[None] for seed in range(3)])
    together = EagerRuntime(ensemble_folder).predict(films)
    alone = [EagerRuntime(folder).predict(films) for folder in member_folders]
    probabilities = np.stack([member.probabilities for member in alone], axis=1)
    t_scores = np.stack([member.t_score for member in alone], axis=1)
    assert together.member_probabilities is not None
    np.testing.assert_allclose(together.member_probabilities, probabilities, atol=1e-5)
    np.testing.assert_allclose(together.member_t_score, t_scores, atol=1e-5)
    np.testing.assert_allclose(together.probabilities, probabilities.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(together.t_score, t_scores.mean(axis=1), atol=1e-5)
    assert alone[0].member_probabilities is None


def test_an_answer_says_how_far_the_members_agree(member_folders: list[Path], ensemble_folder: Path) -> None:
    requests = [Request(encoded(knee_like(seed=seed)), {"target": "all"}, str(seed)) for seed in range(4)]
    ensemble, *single = (Reader(folder) for folder in (ensemble_folder, *member_folders))
    for request in requests:
        together, members = ensemble.answer(request), [reader.answer(request) for reader in single]
        assert together.fold_spread is not None
        assert [member.fold_spread for member in members] == [None, None]
        assert together.fold_spread.members == 2
        assert together.fold_spread.agreeing == sum(member.label == together.label for member in members)
        for label in together.probabilities:
            shares = sorted(member.probabilities[label] for member in members)
            assert together.fold_spread.low[label] == pytest.approx(shares[0], abs=1e-5)
            assert together.fold_spread.high[label] == pytest.approx(shares[1], abs=1e-5)


def test_without_t_scores_it_says_so(tmp_path: Path) -> None:
    members = [make_model_folder(tmp_path / name, has_t_score=False, architecture="yolov5n") for name in ("a", "b")]
    models.save_ensemble(members, tmp_path / "both", "both")
    prediction = EagerRuntime(tmp_path / "both").predict(np.zeros((2, 1, 96, 96), np.uint8))
    assert np.isnan(prediction.t_score).all()
    assert np.isnan(prediction.member_t_score).all()


def edited(folder: Path, target: Path, before: str, after: str) -> Path:
    """A copy of a model folder with another card."""
    shutil.copytree(folder, target)
    text = (target / "card.json").read_text()
    assert before in text
    (target / "card.json").write_text(text.replace(before, after))
    return target


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('"osteopenia"', '"low"', r"labels is .*'low'.* and not .*'osteopenia'"),
        ('"has_t_score": true', '"has_t_score": false', r"has_t_score is False and not True"),
        ('"height": 96', '"height": 128', r"preprocess is height=128 .* and not height=96"),
    ],
)
def test_members_that_do_not_fit_are_refused(
    member_folders: list[Path], tmp_path: Path, before: str, after: str, named: str
) -> None:
    other = edited(member_folders[1], tmp_path / "other", before, after)
    with pytest.raises(DataError, match=f"{other} does not fit {member_folders[0]}: {named}"):
        models.save_ensemble([member_folders[0], other], tmp_path / "out", "knee")
    assert not (tmp_path / "out").exists()


def test_grids_that_differ_are_refused(tmp_path: Path) -> None:
    """At 97 pixels timm's padding gives EfficientNet 4 cells a side, and YOLOv5 has 3."""
    members = [
        make_model_folder(tmp_path / "a", side=97),
        make_model_folder(tmp_path / "b", side=97, architecture="yolov5n"),
    ]
    with pytest.raises(DataError, match=r"grid of the feature map is \(3, 3\) and not \(4, 4\)"):
        models.save_ensemble(members, tmp_path / "out", "knee")


def test_ensembles_of_one_or_of_ensembles_are_refused(
    member_folders: list[Path], ensemble_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="two members or more, found 1"):
        models.save_ensemble(member_folders[:1], tmp_path / "out", "knee")
    with pytest.raises(DataError, match="is an ensemble itself"):
        models.save_ensemble([member_folders[0], ensemble_folder], tmp_path / "out", "knee")


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('"members": [\n    "tf_efficientnet_lite0",', '"members": [', "are not weights of yolov5n"),
        ('"members": [\n    "tf_efficientnet_lite0",\n    "yolov5n"\n  ]', '"members": []', "names no members"),
    ],
)
def test_a_card_with_other_members_is_refused(
    ensemble_folder: Path, tmp_path: Path, before: str, after: str, named: str
) -> None:
    with pytest.raises(CardError, match=named):
        models.load(edited(ensemble_folder, tmp_path / "knee", before, after))


@pytest.fixture
def films() -> Tensor:
    return torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("index", [0, 1])
def test_a_backbone_is_taken_over_and_the_heads_are_not(index: int, member_folders: list[Path], films: Tensor) -> None:
    card = load_card(member_folders[index])
    model = models.build(card.architecture, 5, has_t_score=False)
    heads = model.classifier.weight.clone()
    models.load_backbone(model, member_folders[index])
    trained, _ = models.load(member_folders[index])
    torch.testing.assert_close(model.eval().features(films), trained.features(films), atol=1e-4, rtol=1e-4)
    assert torch.equal(model.classifier.weight, heads)


@pytest.mark.parametrize("folder", ["efficientnet", "knee"])
def test_another_architecture_s_backbone_is_refused(
    folder: str, member_folders: list[Path], ensemble_folder: Path
) -> None:
    model = models.build("yolov5n", 3, has_t_score=True)
    source = {"efficientnet": member_folders[0], "knee": ensemble_folder}[folder]
    with pytest.raises(DataError, match=r"holds (tf_efficientnet_lite0|ensemble), whose backbone does not fit"):
        models.load_backbone(model, source)
