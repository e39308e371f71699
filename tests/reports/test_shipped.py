from pathlib import Path

import numpy as np
import pytest
from support.scripts import run_script

from osteolens.card import Card, load_card
from osteolens.evaluation.calibration import facts_of
from osteolens.evaluation.predictions import read_predictions
from osteolens.inference.calibration import ZONES, read_fused, read_image
from osteolens.labels import LABELS

ROOT = Path(__file__).parents[2]
CARDS = [load_card(path.parent) for path in sorted((ROOT / "weights").glob("*/card.json"))]


def test_the_model_card_agrees_with_the_weights_and_the_stored_predictions() -> None:
    done = run_script(ROOT / "train" / "model_card.py", "--check")
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_check_ends_with_one_line_and_status_2_where_they_disagree(tmp_path: Path) -> None:
    done = run_script(ROOT / "train" / "model_card.py", "--check", "--root", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: MODEL_CARD.md disagrees")
    assert len(done.stderr.splitlines()) == 1


def test_shipped_figures_come_with_intervals_and_baselines() -> None:
    assert CARDS
    for card in CARDS:
        subjects = [evaluation.subject for evaluation in card.evaluations]
        assert any("majority" in subject for subject in subjects)
        assert any("age" in subject for subject in subjects) or card.labels != LABELS
        for evaluation in card.evaluations:
            assert "trial" not in evaluation.protocol
            assert all(metric.low <= metric.value <= metric.high for metric in evaluation.metrics)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_shipped_card_gives_its_own_stored_answers_the_zones_it_promises(card: Card) -> None:
    """Through exactly the numbers that are served; a zone that no stored answer reaches is never promised."""
    predictions = read_predictions(ROOT / "evidence" / card.name / "predictions.csv")
    if card.members:
        predictions = predictions.together()
    repeats, count = predictions.fold.shape
    logits = predictions.logits.reshape(repeats * count, -1)
    image = read_image(card.labels, logits, predictions.t_score.ravel(), card)
    facts = {name: np.tile(values, repeats) for name, values in facts_of(predictions.films).items()}
    readings = [(card.operating_points, card.t_score_interval, image)]
    for fusion in card.fusion:
        fused = read_fused(card.labels, image.probabilities, image.t_score, facts, fusion)
        readings.append((fusion.operating_points, fusion.t_score.interval if fusion.t_score else None, fused))
    measured = np.tile(predictions.measured, repeats)
    for points, interval, reading in readings:
        zones = reading.zone[reading.zone != ""]
        assert bool(zones.size) == (points is not None)
        if points:
            assert points.zones == pytest.approx({zone: (zones == zone).mean() for zone in ZONES}, abs=2e-3)
            assert min(points.zones.values()) > 0
        if interval:
            known = np.isfinite(measured) & np.isfinite(reading.t_score)
            inside = (reading.low <= measured) & (measured <= reading.high)
            assert inside[known].mean() >= 0.9
            assert interval.covered == pytest.approx(inside[known].mean(), abs=5e-3)


def test_a_model_for_osteoporosis_gives_zones_only_if_it_beats_chance() -> None:
    for card in CARDS:
        areas = [m for m in card.evaluations[0].metrics if m.name == "AUROC osteoporosis vs rest"]
        if areas:
            assert (card.operating_points is not None) == (areas[0].low > 0.5)
            assert bool(card.no_triage) == (card.operating_points is None)


def test_an_ensemble_says_first_how_many_members_its_figures_are_of() -> None:
    (knee,) = [card for card in CARDS if card.members]
    assert knee.evaluations[0].protocol.startswith("the mean answer of 2 members")
    assert f"the ensemble that is shipped has {len(knee.members)}" in knee.evaluations[0].protocol
    (yolov5,) = [card for card in CARDS if card.name == "yolov5"]
    assert knee.evaluations[0].metrics != yolov5.evaluations[0].metrics
