"""The benchmarks of planted bone loss, of shuffled rows and of the planned image model, on numbers made here."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from osteolens.datasets.films import Film
from osteolens.datasets.folds import assign_folds
from osteolens.errors import DataError
from osteolens.labels import LABELS
from osteolens.training.people import People

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def planted() -> ModuleType:
    return load("planted_signal")


def knee(seed: int = 0) -> np.ndarray:
    """A bright bone of fine texture on a dark ground."""
    picture = np.full((160, 160), 30, np.float32)
    picture[:, 40:120] = 150 + np.random.default_rng(seed).normal(0, 12, (160, 80))
    return picture


def test_a_step_takes_its_share_of_the_structure_and_leaves_the_ground_alone(planted: ModuleType) -> None:
    assert planted.plant(knee(), 0.0) == pytest.approx(knee(), abs=1e-3)
    halved = planted.plant(knee(), 0.5)
    lost = planted.structure(halved.round().astype(np.uint8)) - planted.structure(knee().round().astype(np.uint8))
    # A little less is lost than half, as coarse structure is partly shape.
    assert lost == pytest.approx(np.log(0.5), abs=0.1)
    assert halved[:, :25] == pytest.approx(knee()[:, :25], abs=0.5)


def test_the_cortex_becomes_thinner(planted: ModuleType) -> None:
    picture = knee()
    picture[:, 40:43] = picture[:, 117:120] = 230
    edges = np.r_[38:45, 115:122]
    assert planted.plant(picture, 0.4)[:, edges].mean() < picture[:, edges].mean() - 5


def test_the_acquisition_varies_with_its_random_numbers_alone(planted: ModuleType) -> None:
    one, again, other = (planted.acquire(knee(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert abs(one.astype(float) - other).mean() > 3


def test_areas_are_those_of_scikit_learn(planted: ModuleType) -> None:
    random = np.random.default_rng(0)
    scores, ill = random.integers(0, 9, (50, 3)).astype(float), random.random((50, 3)) < 0.4
    expected = [roc_auc_score(ill[:, column], scores[:, column]) for column in range(3)]
    assert planted.areas(scores, ill) == pytest.approx(expected)


@pytest.mark.parametrize("columns", [80, 20])
def test_out_of_fold_scores_are_those_of_scikit_learn_s_ridge(planted: ModuleType, columns: int) -> None:
    random = np.random.default_rng(0)
    x, y, fold = random.normal(size=(60, columns)), random.random((60, 2)), random.permutation(60) % planted.FOLDS
    scores = planted.out_of_fold(x, y, fold)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    for number in range(planted.FOLDS):
        # Without an intercept, as the features' means over all knees are 0 already.
        model = Ridge(alpha=planted.PENALTY, fit_intercept=False).fit(
            scaled[fold != number], y[fold != number] - y[fold != number].mean(axis=0)
        )
        assert scores[fold == number] == pytest.approx(model.predict(scaled[fold == number]), abs=1e-9)


def test_features_are_computed_of_new_knees_alone(
    planted: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[Path], int]] = []

    def features(paths: list[Path], step: float, console: Console, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        asked.append((paths, first))
        return np.full((len(paths), 1280), first, np.float32), np.full(len(paths), step)

    monkeypatch.setattr(planted, "features", features)
    paths = [Path(f"{number}.png") for number in range(5)]
    for count in (3, 5, 4):
        pooled, quantity = planted.kept(tmp_path / "step.npz", paths[:count], 0.1, Console(quiet=True))
        assert (len(pooled), len(quantity)) == (count, count)
    assert asked == [(paths[:3], 0), (paths[3:], 3)]
    assert pooled[:, 0].tolist() == [0, 0, 0, 3]


def test_the_smallest_signal_lies_between_two_steps(planted: ModuleType) -> None:
    power = {50: (0.05, 0.1, 0.2), 100: (0.05, 0.6, 1.0), 400: (0.05, 0.9, 1.0)}
    rows = [
        {"step": step, "knees": knees, "power": values[place], "AUROC, mean": (0.5, 0.6, 0.8)[place]}
        for knees, values in power.items() for place, step in enumerate((0.0, 0.1, 0.2))
    ]  # fmt: skip
    few, hundred, many = planted.smallest(rows)
    assert np.isnan([few["step"], few["AUROC"]]).all()
    assert hundred == {"knees": 100, "step": 0.15, "AUROC": 0.7}  # half-way from 0.6 to 1
    assert many == {"knees": 400, "step": 0.088, "AUROC": 0.588}  # 0.75 / 0.85 of the way


def test_what_is_planted_is_found_and_nothing_else(planted: ModuleType) -> None:
    healthy = np.random.default_rng(0).normal(size=(120, 40)).astype(np.float32)
    quantity = np.zeros(120)
    table = {0.0: (healthy, quantity), 1.0: (healthy + 0.7, quantity - 1)}
    nothing, something = planted.measure(table, {100: 40}, 40, Console(quiet=True))
    assert nothing["power"] <= 0.15
    assert nothing["AUROC, mean"] == pytest.approx(0.5, abs=0.03)
    assert something["power"] == 1
    assert something["AUROC of the planted quantity"] == 1


def test_more_persons_tell_sex_and_age_better(planted: ModuleType) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(900, 30))
    sex = (x[:, :10].sum(axis=1) + random.normal(0, 3, 900) > 0).astype(float)
    first, *_, last = planted.learning_curves(x, sex, 60 + x[:, 10:20].sum(axis=1) + random.normal(0, 3, 900))
    assert (first["persons"], last["persons"]) == (157, 720)
    assert 0.7 < first["AUROC of sex"] < last["AUROC of sex"]
    assert 0.4 < first["r of age"] < last["r of age"]


def test_shuffled_rows_are_reported_and_right_ones_are_not() -> None:
    shuffled = load("shuffled_rows")
    random = np.random.default_rng(0)
    persons = np.repeat(np.arange(400), 2).astype(str).tolist()
    sex, age = np.repeat(random.integers(0, 2, 400), 2), np.repeat(random.uniform(45, 79, 400), 2)
    facts = np.column_stack([sex, age, np.full((800, 3), np.nan)]).astype(np.float32)
    people = People(persons, persons, np.ones(800, bool), facts, np.zeros((800, 1, 0, 0), np.uint8))
    outputs = np.zeros((800, 9))
    outputs[:, 0] = random.normal(np.where(sex == 1, 2, -2), 1.4)
    outputs[:, 1] = 30 + age / 2 + random.normal(0, 6, 800)
    for share, reported in ((0.0, 0), (0.2, 1)):
        trials = [shuffled.trial(people, outputs, 300, share, np.random.default_rng(seed))[0] for seed in range(3)]
        summary = shuffled.summary(trials)
        assert summary["reported"] == reported
        assert summary["share of wrong rows"] == pytest.approx(share, abs=0.05)
        assert summary["its upper bound"] > share


@pytest.fixture(scope="module")
def image_model() -> ModuleType:
    return load("image_model")


def test_texture_of_a_flat_and_of_a_striped_knee(image_model: ModuleType) -> None:
    flat = image_model.texture(np.full((64, 64), 100, np.uint8))
    assert flat[:12] == pytest.approx([0] * 3 + [1] * 9)  # no contrast; homogeneity, energy and correlation are 1
    # All eight neighbours are as bright, but at the edges, where one is missing.
    assert flat[[12 + 8, 22 + 8]] == pytest.approx([(62 / 64) ** 2, (58 / 64) ** 2])
    striped = np.zeros((64, 64), np.uint8)
    striped[:, ::2] = 8  # levels 0 and 1 in turn
    contrast = image_model.texture(striped)[:3]
    # Across and down, 1 pixel away differs and 2 or 4 do not; the two diagonals go 1, 1 and 3 pixels each way.
    assert contrast == pytest.approx([3 / 4, 2 / 4, 2 / 4], abs=0.01)


def films_of(count: int, seed: int) -> list[Film]:
    """Films of two to a group, a third of each label."""
    labels = np.random.default_rng(seed).permutation(np.repeat(LABELS, count // 6 + 1))[: count // 2]
    return [Film("", Path(), f"{i}.png", f"g{i // 2}", str(labels[i // 2])) for i in range(count)]


def test_the_nested_model_finds_what_is_there_and_nothing_else(image_model: ModuleType) -> None:
    films = films_of(120, 1)
    labels, groups = [film.label for film in films], [film.group for film in films]
    ill = np.array([label == "osteoporosis" for label in labels])
    noise = np.random.default_rng(2).normal(size=(120, 12))
    signal = noise.copy()
    signal[:, 3] += 3 * ill
    found, nothing = (image_model.nested("texture", table, labels, groups, 0) for table in (signal, noise))
    assert found.sum(axis=1) == pytest.approx(1)
    assert roc_auc_score(ill, found[:, 2]) > 0.9
    assert 0.3 < roc_auc_score(ill, nothing[:, 2]) < 0.65
    # A fold's answers do not depend on its own labels.
    fold = assign_folds(labels, groups, 5, 0)
    assert len({fold[i] for i, group in enumerate(groups) if group == "g0"}) == 1


def test_labels_are_shuffled_by_whole_groups(image_model: ModuleType) -> None:
    films = films_of(60, 3)
    mixed = image_model.shuffled(films)
    assert sorted(film.label for film in mixed) == sorted(film.label for film in films)
    assert [film.label for film in mixed] != [film.label for film in films]
    assert all(mixed[i].label == mixed[i + 1].label for i in range(0, 60, 2))


def test_a_film_without_a_frame_has_the_median_row(image_model: ModuleType) -> None:
    rows = [{"people": np.array([value, 0.0])} for value in (1.0, 2.0, 9.0)]
    assert image_model.table_of([*rows, {}], "people")[3].tolist() == [2.0, 0.0]


@pytest.fixture(scope="module")
def shuffled_model(image_model: ModuleType) -> ModuleType:
    sys.modules["image_model"] = image_model  # the command is run in its folder
    return load("image_model_shuffled")


def test_where_the_primary_figure_lies_among_shuffles(shuffled_model: ModuleType) -> None:
    rows = [{shuffled_model.PRIMARY: value, "AUROC": 0.5} for value in (0.3, 0.4, 0.5, 0.6)]
    lines = shuffled_model.summary(rows, 0.5)
    # Standard deviation 0.1291, over the root of 4.
    assert lines[shuffled_model.PRIMARY] == "mean 0.450 +- 0.065, standard deviation 0.129, 0.300 to 0.600"
    assert lines["p"] == "0.600: 0.500 is reached by 2 of 4 shuffles"  # (1 + 2) / (1 + 4)


def test_the_primary_figure_is_read_where_it_was_written(shuffled_model: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    with pytest.raises(DataError, match="has no primary figure: run benchmarks/image_model"):
        shuffled_model.primary(path)
    path.write_text("role,model,value\nsecondary,a,0.4\nprimary,b,0.566\n")
    assert shuffled_model.primary(path) == 0.566


def test_labels_that_are_in_the_features_are_ranked_right(
    image_model: ModuleType, shuffled_model: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_model, "REPEATS", 1)
    monkeypatch.setattr(image_model, "STRENGTHS", (1.0,))
    random = np.random.default_rng(1)
    films = [
        replace(each, acquisition=tuple(random.normal(size=4)), family=str(number % 2))
        for number, each in enumerate(films_of(72, 1))
    ]
    rows = [
        {block: random.normal(size=6) + 3 * (film.label == "osteoporosis") for block in image_model.BLOCKS}
        for film in films
    ]
    fitted = image_model.cross_validated(rows, films, Console(quiet=True), shuffled_model.SOLVER)[image_model.ALL]
    assert min(shuffled_model.statistics(fitted).values()) > 0.95
