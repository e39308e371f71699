import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, knee_like, make_model_folder
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file
from support.films import film
from support.scripts import run_script

from osteolens.card import RANGES_FILE, Card, load_card
from osteolens.errors import DataError
from osteolens.evaluation.int8 import folds as quantisation_folds
from osteolens.evaluation.int8 import guard as quantisation_guard
from osteolens.evaluation.int8.folds import Fold, find_folds, predict_folds, split_ensemble
from osteolens.evaluation.int8.guard import judge, quantise_model
from osteolens.evaluation.int8.ranges import Answers
from osteolens.evaluation.predictions import Predictions
from osteolens.exporting.int8 import ActivationRanges, load_ranges, quantise
from osteolens.exporting.onnx import to_onnx
from osteolens.films.prepare import prepare
from osteolens.inference.runtimes.eager import EagerRuntime
from osteolens.labels import LABELS
from osteolens.parameters import OperatingPoint, OperatingPoints, VectorScaling
from osteolens.reports import model_page
from osteolens.reports.shipped import Model

QUIET = Console(file=io.StringIO())
SIDE, COUNT = 64, 8
NORMAL, SEVERE = LABELS[0], LABELS[2]


def predictions(labels: list[str], fold: list[int], logits: NDArray[np.floating] | None = None) -> Predictions:
    films = [replace(film(label, f"g{n}"), file=f"films/{n}.png") for n, label in enumerate(labels)]
    logits = np.zeros((len(labels), 3)) if logits is None else logits.astype(np.float64)
    return Predictions(LABELS, films, np.array([fold]), logits[None], np.full((1, len(labels)), np.nan))


def answers(severe: list[float], maps: NDArray[np.float64] | None = None) -> Answers:
    """Films whose probability of osteoporosis is this, and the rest of it normal."""
    shares = np.array([[1 - p, 1e-12, p] for p in severe])
    maps = np.ones((len(severe), 3, 2, 2)) if maps is None else maps
    return Answers(np.log(shares), np.full(len(severe), np.nan), maps)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """Without calibration."""
    return load_card(make_model_folder(tmp_path_factory.mktemp("guard") / "model", side=SIDE))


FOUR = predictions([NORMAL, NORMAL, SEVERE, SEVERE], [0, 1, 0, 1])
RIGHT = [0.1, 0.2, 0.7, 0.8]


def test_the_same_answers_are_accepted(plain: Card) -> None:
    result = judge(plain, FOUR, answers(RIGHT), answers(RIGHT))
    assert (result.accepted, result.reasons, result.films) == (True, (), 4)
    assert result.auroc == result.auroc_fp32 == {"AUROC normal vs rest": 1.0, "AUROC osteoporosis vs rest": 1.0}
    assert result.label_disagreement == result.uncalibrated_label_disagreement == result.triage_disagreement == 0
    assert result.largest_difference == result.mean_difference == result.largest_uncalibrated_difference == 0
    assert result.map_cosine == 1


def test_a_damaged_graph_is_refused_with_every_reason(plain: Card) -> None:
    result = judge(plain, FOUR, answers(RIGHT), answers([0.1, 0.75, 0.7, 0.8]))
    # Four pairs of a normal film and one with osteoporosis: only 0.75 before 0.7 is in the wrong order.
    assert result.auroc == {"AUROC normal vs rest": 0.75, "AUROC osteoporosis vs rest": 0.75}
    assert result.label_disagreement == result.uncalibrated_label_disagreement == 0.25
    assert result.largest_difference == pytest.approx(0.55)
    assert result.mean_difference == pytest.approx((0.55 + 0 + 0.55) / 12, abs=1e-6)
    assert not result.accepted
    assert result.reasons == (
        "AUROC normal vs rest falls by 0.2500",
        "AUROC osteoporosis vs rest falls by 0.2500",
        "25.0% of the labels differ",
        "a probability before calibration moves by 0.550",
    )


def test_an_auroc_may_rise(plain: Card) -> None:
    result = judge(plain, FOUR, answers([0.3, 0.31, 0.3, 0.32]), answers([0.29, 0.30, 0.31, 0.32]))
    assert result.auroc_fp32["AUROC osteoporosis vs rest"] == pytest.approx(2.5 / 4)
    assert result.auroc["AUROC osteoporosis vs rest"] == 1
    assert result.accepted


def test_what_a_calibration_hides_is_refused_all_the_same(plain: Card) -> None:
    flat = plain.model_copy(update={"calibration": VectorScaling(scale=(1e-3,) * 3, bias=(0.0, 5.0, 0.0))})
    result = judge(flat, FOUR, answers(RIGHT), answers([0.1, 0.3, 0.7, 0.8]))
    assert result.label_disagreement == 0
    assert result.largest_difference < 1e-3
    assert result.largest_uncalibrated_difference == pytest.approx(0.1)
    assert result.reasons == ("a probability before calibration moves by 0.100",)


def test_triage_zones_are_compared(plain: Card) -> None:
    low, high = (OperatingPoint(threshold=threshold, sensitivity=0.9, specificity=0.9) for threshold in (0.15, 0.78))
    points = OperatingPoints(label=SEVERE, high_sensitivity=low, high_specificity=high)
    card = plain.model_copy(update={"operating_points": points})
    result = judge(card, FOUR, answers(RIGHT), answers([0.16, 0.2, 0.7, 0.77]))
    assert result.triage_disagreement == 0.5


def test_heat_maps_are_those_of_the_answered_label(plain: Card) -> None:
    exact, int8 = np.zeros((2, 4, 3, 2, 2))
    exact[:, 0, 0], int8[:, 0, 0] = (1, 0), (1, 1)  # of the label normal: 45 degrees apart
    exact[:, 2], int8[:, 2] = 1, 1
    int8[3, 2] = 0  # against nothing
    exact[:, 1] = 1  # another label's
    result = judge(plain, FOUR, answers(RIGHT, exact), answers(RIGHT, int8))
    cosines = [np.sqrt(0.5), np.sqrt(0.5), 1, 0]
    assert result.map_cosine == pytest.approx(np.mean(cosines), abs=1e-6)


def test_the_page_of_a_model_shows_the_result_of_the_guard(plain: Card) -> None:
    result = judge(plain, FOUR, answers(RIGHT), answers([0.1, 0.75, 0.7, 0.8]))
    text = model_page.page(ROOT, Model(plain.model_copy(update={"quantisation": (result,)}), None, None))
    assert "Refused: AUROC normal vs rest falls by 0.2500; " in text
    assert "| AUROC osteoporosis vs rest | 1.000 | 0.750 |" in text
    assert "Labels that differ: 25.0% (before calibration 25.0%)" in text
    assert "## Quantisation" not in model_page.page(ROOT, Model(plain, None, None))


def test_training_films_share_no_group_with_those_of_the_fold(tmp_path: Path) -> None:
    table = predictions([NORMAL] * 4, [0, 0, 1, 2])
    films = [replace(film, group="same") if n in (1, 3) else film for n, film in enumerate(table.films)]
    folds = find_folds(tmp_path, None, replace(table, films=films), tmp_path)
    assert [fold.folder for fold in folds] == [tmp_path / f"r0f{n}" / "model" for n in range(3)]
    assert [fold.tested.tolist() for fold in folds] == [
        [True, True, False, False], [False, False, True, False], [False, False, False, True],
    ]  # fmt: skip
    assert [fold.training.tolist() for fold in folds] == [
        [False, False, True, False], [True, True, False, True], [True, False, True, False],
    ]  # fmt: skip


def test_a_single_split_leaves_no_film_to_measure_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a cross-validation: .* osteolens crossval"):
        find_folds(tmp_path, None, predictions([NORMAL] * 4, [0] * 4), tmp_path)


def test_members_stand_in_for_the_folds_models(
    ensemble_folder: Path, member_folders: list[Path], model_folder: Path, tmp_path: Path
) -> None:
    table = predictions([NORMAL] * 4, [0, 1, 0, 1])
    folds = find_folds(tmp_path, ensemble_folder, table, tmp_path)
    for fold, member in zip(folds, member_folders, strict=True):
        stored, split = (load_file(folder / "weights.safetensors") for folder in (member, fold.folder))
        assert stored.keys() == split.keys()
        assert all(value.equal(split[name]) for name, value in stored.items())
        assert load_card(fold.folder).architecture == load_card(member).architecture
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataError, match=r"2 members, but .* 3 folds"):
        find_folds(tmp_path, ensemble_folder, predictions([NORMAL] * 3, [0, 1, 2]), other)
    with pytest.raises(DataError, match="no ensemble, such as weights/knee"):
        split_ensemble(model_folder, tmp_path)


def test_a_model_that_did_not_make_the_stored_answers_is_refused(
    model_folder: Path, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation_folds, "to_onnx", lambda folder, out: exports / "model.onnx")
    pictures = np.stack([prepare(knee_like(seed=n), load_card(model_folder).preprocess).array for n in range(4)])
    logits = EagerRuntime(model_folder).predict(pictures).logits
    tested = np.array([True, False, True, False])
    folds = [Fold(model_folder, tested, ~tested), Fold(model_folder, ~tested, tested)]
    counts: list[int] = []

    def same_graph(graph: Path, card: Card, films: NDArray[np.uint8], scratch: Path) -> tuple[object, Path]:
        counts.append(len(films))
        ranges = ActivationRanges(weights_sha256=card.weights_sha256, films=1, fp32=(), tensors={})
        return ranges, graph

    monkeypatch.setattr(quantisation_folds, "quantise_within", same_graph)
    table = predictions([NORMAL] * 4, [0, 1, 0, 1], logits)
    exact, int8 = predict_folds(folds, table, pictures, tmp_path, QUIET)
    np.testing.assert_allclose(exact.logits, logits, atol=1e-3)  # in the order of the films, not of the folds
    np.testing.assert_array_equal(exact.maps, int8.maps)
    assert counts == [2, 2]
    logits[3, 0] += 1
    with pytest.raises(DataError, match=r"model of fold 1 does not give the answers in predictions\.csv"):
        predict_folds(folds, predictions([NORMAL] * 4, [0, 1, 0, 1], logits), pictures, tmp_path, QUIET)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "films").mkdir()
    for number in range(COUNT):
        (folder / "films" / f"{number}.png").write_bytes(encoded(knee_like(seed=number)))
    (folder / "films.csv").write_text("file,label\n")
    return folder / "films.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, plain: Card) -> Path:
    """Two folds, with the answers that their models give."""
    out, fold = tmp_path_factory.mktemp("run"), [n % 2 for n in range(COUNT)]
    pictures = np.stack([prepare(knee_like(seed=n), plain.preprocess).array for n in range(COUNT)])
    logits = np.zeros((COUNT, 3))
    for number in (0, 1):
        folder = make_model_folder(out / f"r0f{number}" / "model", side=SIDE, seed=number)
        logits[number::2] = EagerRuntime(folder).predict(pictures[number::2]).logits
    labels = [LABELS[n % 3] for n in range(COUNT)]
    predictions(labels, fold, logits).write(out / "predictions.csv")
    shutil.copytree(out / "r0f0" / "model", out / "model")
    return out


@pytest.mark.slow
def test_an_accepted_model_gets_ranges_that_make_its_int8_graph_anywhere(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("MAX_AUROC_LOSS", "MAX_DISAGREEMENT", "MAX_MOVE"):
        monkeypatch.setattr(quantisation_guard, limit, 1.0)
    monkeypatch.setattr(quantisation_guard, "MIN_HELD", 0.0)
    model = shutil.copytree(run / "model", tmp_path / "model")
    before = load_card(model)
    result = quantise_model(run, model, data, None, QUIET)
    assert (result.accepted, result.films) == (True, COUNT)
    card = load_card(model)
    assert card == before.model_copy(update={"quantisation": (result,)})
    quantise_model(run, model, data, None, QUIET)
    assert load_card(model) == card  # the finding took the place of the one before
    ranges = load_ranges(model)
    assert (ranges.films, ranges.weights_sha256) == (COUNT, card.weights_sha256)
    graph = to_onnx(model, tmp_path)
    assert quantise(graph, ranges, card, tmp_path / "model.int8.onnx").stat().st_size < graph.stat().st_size


@pytest.mark.slow
def test_a_refused_model_loses_its_ranges(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(run / "model", tmp_path / "model")
    (model / RANGES_FILE).write_text("of an earlier run")
    monkeypatch.setattr(quantisation_guard, "MAX_MOVE", 0.0)
    result = quantise_model(run, model, data, None, QUIET)
    assert not result.accepted
    assert "before calibration moves by" in result.reasons[-1]
    assert load_card(model).quantisation == (result,)
    assert not (model / RANGES_FILE).exists()


def test_the_script_names_a_film_that_is_not_there(run: Path, tmp_path: Path) -> None:
    done = run_script(ROOT / "export" / "quantise.py", run, "--model", run / "model", "--data", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the pictures: 8 problems:")
    assert "films/0.png" in done.stderr
