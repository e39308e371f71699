import numpy as np
import pytest
from support.films import film
from support.simulated import simulate

from osteolens.evaluation.calibration import Rows, fit_calibration, fit_interval, fit_operating_points, log_loss
from osteolens.evaluation.predictions import Predictions
from osteolens.inference.calibration import calibrate, triage
from osteolens.parameters import Temperature, VectorScaling

GRADES = ("0", "1", "2")


def rows_of(predictions):
    return Rows(predictions, np.ones(predictions.fold.shape, bool))


def table(labels, truth, logits=None, measured=None, groups=None):
    """One repeat, one fold."""
    count = len(truth)
    films = [
        film(
            labels[k],
            groups[index] if groups else f"g{index}",
            t_score=float("nan") if measured is None else measured[index],
        )
        for index, k in enumerate(truth)
    ]
    logits = np.zeros((count, len(labels))) if logits is None else logits
    return rows_of(Predictions(labels, films, np.zeros((1, count), int), logits[None], np.full((1, count), np.nan)))


def drawn(shares, seed=0):
    """Labels that are true as often as the probabilities say."""
    return (np.random.default_rng(seed).random(len(shares))[:, None] > shares.cumsum(axis=1)).sum(axis=1)


def test_turns_keep_repeats_folds_and_groups_apart():
    rows = rows_of(simulate(films=60, repeats=2, folds=4, films_per_group=2))
    groups, scored_rows = np.array(rows.predictions.groups), np.zeros((2, 60), int)
    for fitted, scored in rows.turns():
        assert not (fitted.chosen & scored.chosen).any()
        (repeat,) = np.flatnonzero(scored.chosen.any(axis=1))
        assert np.flatnonzero(fitted.chosen.any(axis=1)).tolist() == [repeat]
        assert (fitted.chosen | scored.chosen)[repeat].all()
        assert not set(groups[fitted.film]) & set(groups[scored.film])
        assert len(set(rows.predictions.fold[scored.chosen])) == 1
        scored_rows += scored.chosen
    assert (scored_rows == 1).all()


def test_a_single_fold_is_split_by_group():
    predictions = simulate(films=60, repeats=1, folds=1, films_per_group=2)
    groups = np.array(predictions.groups)
    turns = list(rows_of(predictions).turns())
    assert len(turns) == 5
    for fitted, scored in turns:
        assert not set(groups[fitted.film]) & set(groups[scored.film])
        assert fitted.chosen.sum() + scored.chosen.sum() == 60


def test_rows_carry_the_values_of_their_films_and_repeats():
    predictions = simulate(films=20, repeats=3)
    chosen = np.zeros((3, 20), bool)
    chosen[1, [4, 7]] = chosen[2, 4] = True
    rows = Rows(predictions, chosen)
    assert rows.film.tolist() == [4, 7, 4]
    assert rows.truth.tolist() == predictions.truth[[4, 7, 4]].tolist()
    assert np.array_equal(rows.logits, predictions.logits[[1, 1, 2], [4, 7, 4]])
    assert rows.facts["age"].tolist() == [predictions.films[index].age for index in (4, 7, 4)]
    assert rows.weights == pytest.approx([0.5] * 3)
    subset = rows.among(np.array([False, True, True]))
    assert (subset.film.tolist(), subset.chosen.sum()) == ([7, 4], 2)


def test_the_temperature_that_made_the_logits_is_found():
    logits = np.random.default_rng(1).normal(size=(20000, 3)) * 2
    truth = drawn(calibrate(logits, None))
    calibration = fit_calibration("temperature", table(GRADES, truth, 3 * logits))
    assert isinstance(calibration, Temperature)
    assert calibration.temperature == pytest.approx(3, rel=0.05)


def test_the_vector_that_made_the_logits_is_found():
    logits = np.random.default_rng(1).normal(size=(40000, 3)) * 2
    true = VectorScaling(scale=(0.5, 1.0, 1.5), bias=(0.5, 0.0, -0.5))
    calibration = fit_calibration("vector", table(GRADES, drawn(calibrate(logits, true)), logits + 3))
    assert isinstance(calibration, VectorScaling)
    assert calibration.scale == pytest.approx(true.scale, abs=0.05)
    assert calibration.bias == pytest.approx(true.bias, abs=0.05)


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_no_neighbour_of_the_fit_has_a_lower_log_loss(method):
    rows = rows_of(simulate(films=60, repeats=1))
    best = fit_calibration(method, rows)

    def loss(calibration):
        return log_loss(calibrate(rows.logits, calibration), rows.truth)

    fields = best.model_dump(exclude={"method"})
    for name, value in fields.items():
        for step in (-0.01, 0.01):
            nudged = [value + step] if isinstance(value, float) else []
            if not nudged:
                nudged = [[*value[:k], value[k] + step, *value[k + 1 :]] for k in range(len(value))]
            assert all(loss(best.model_copy(update={name: other})) >= loss(best) - 1e-6 for other in nudged)


def test_a_model_that_is_worse_than_chance_ends_at_the_flattest_temperature():
    logits = np.tile([[2.0, 0.0, 0.0]], (50, 1))
    calibration = fit_calibration("temperature", table(GRADES, [2] * 50, logits))
    assert calibration.temperature == pytest.approx(50)
    assert min(fit_calibration("vector", table(GRADES, [2] * 50, logits)).scale) >= 0.02


def test_log_loss_by_hand():
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx(
        (np.log(2) + np.log(4 / 3)) / 2
    )
    assert np.isfinite(log_loss(np.array([[0.0, 1.0]]), np.array([0])))


def test_operating_points_by_hand():
    labels = ("normal", "osteopenia", "osteoporosis")
    # Ten ill films at 0.11, 0.21 .. 0.91 and 0.95, and ten others at 0.05, 0.10 .. 0.5.
    ill, well = [*np.arange(0.11, 1, 0.1), 0.95], np.linspace(0.05, 0.5, 10)
    scores = np.array([*ill, *well])
    shares = np.stack([1 - scores, 0 * scores, scores], axis=1)
    points = fit_operating_points(table(labels, [2] * 10 + [0] * 5 + [1] * 5), shares)
    assert points.label == "osteoporosis"
    # Nine of ten ill films are at 0.21 and above; the next score below is 0.2.
    assert points.high_sensitivity.threshold == pytest.approx((0.2 + 0.21) / 2)
    assert (points.high_sensitivity.sensitivity, points.high_sensitivity.specificity) == (0.9, pytest.approx(0.4))
    # Nine of ten others are at 0.45 and below; the next score above is 0.5.
    assert points.high_specificity.threshold == pytest.approx((0.45 + 0.5) / 2)
    assert (points.high_specificity.specificity, points.high_specificity.sensitivity) == (0.9, pytest.approx(0.6))
    zones = triage(labels, shares, points)
    assert ((zones[:10] != "low suspicion").sum(), (zones[10:] != "refer").sum()) == (9, 9)


def test_thresholds_of_a_perfect_model_cross():
    labels = ("normal", "osteoporosis")
    scores = np.array([0.1] * 10 + [0.9] * 8 + [1.0] * 2)
    shares = np.stack([1 - scores, scores], axis=1)
    points = fit_operating_points(table(labels, [0] * 10 + [1] * 10), shares)
    zones = triage(labels, shares, points)
    assert set(zones[10:]) == {"refer"}
    assert set(zones[:10]) == {"low suspicion"}


def test_a_constant_score_has_no_operating_points():
    """Whatever the thresholds, all films would be in one zone."""
    shares = np.tile([0.0, 1.0], (20, 1))
    assert fit_operating_points(table(("normal", "osteoporosis"), [0, 1] * 10), shares) is None


def test_thresholds_that_no_served_answer_reaches_are_left_out():
    labels, truth = ("normal", "osteoporosis"), [0] * 10 + [1] * 10
    scores = np.linspace(0.05, 0.95, 20)
    shares = np.stack([1 - scores, scores], axis=1)
    points = fit_operating_points(table(labels, truth), shares)
    assert points.zones == {"refer": 0.55, "uncertain": 0, "low suspicion": 0.45}
    narrow = np.stack([1.1 - scores / 10, scores / 10 - 0.1], axis=1)  # another calibration: -0.095 to -0.005
    assert fit_operating_points(table(labels, truth), shares, narrow) is None


def test_no_operating_points_without_osteoporosis_or_without_others():
    assert fit_operating_points(table(GRADES, [0, 1, 2]), np.eye(3)) is None
    assert fit_operating_points(table(("normal", "osteoporosis"), [1, 1]), np.eye(2)) is None


@pytest.mark.parametrize(("count", "rank"), [(8, None), (9, 9), (10, 10), (19, 18), (20, 19), (99, 90)])
def test_the_interval_is_the_finite_sample_quantile(count, rank):
    residuals = np.random.default_rng(0).permutation(np.arange(1, count + 1) / 10)
    interval = fit_interval(table(GRADES, [0] * count, measured=np.zeros(count)), residuals)
    assert interval == (None if rank is None else interval.model_copy(update={"half_width": rank / 10}))
    assert (interval is None) == (rank is None)


def test_films_of_a_group_share_its_weight():
    # Ten groups are ten units of weight and 9.9 are needed: all nine small groups, and 27 films of the big one.
    groups = ["big"] * 30 + [f"g{index}" for index in range(9)]
    rows = table(GRADES, [0] * 39, measured=np.zeros(39), groups=groups)

    def half_width(*residuals):
        return fit_interval(rows, np.array(residuals)).half_width

    assert half_width(*[0.5] * 30, *[1.0] * 9) == 1.0  # film by film it would be 0.5 at the 27th of 30
    assert half_width(*[0.5] * 26, *[5.0] * 4, *[1.0] * 9) == 5.0
    assert half_width(*[0.5] * 27, *[5.0] * 3, *[1.0] * 9) == 1.0
    assert half_width(*[0.5] * 30, *[1.0] * 8, 9.0) == 9.0
    assert half_width(*[0.5] * 30, *[1.0] * 8, np.nan) == 1.0  # nine groups, all of ten units times 0.9


@pytest.mark.parametrize("shape", ["even", "heavy tails"])
def test_the_interval_covers_nine_films_of_ten(shape):
    random = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        errors = random.uniform(-1, 1, 61) if shape == "even" else random.standard_t(2, 61)
        interval = fit_interval(table(GRADES, [0] * 60, measured=np.zeros(60)), errors[:60])
        covered.append(abs(errors[60]) <= interval.half_width)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.04)
