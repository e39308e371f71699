import subprocess
import sys
from pathlib import Path

from osteolens.card import load_card
from osteolens.labels import LABELS

ROOT = Path(__file__).parents[1]
CARDS = [load_card(path.parent) for path in sorted((ROOT / "weights").glob("*/card.json"))]


def test_the_model_card_agrees_with_the_weights_and_the_stored_predictions() -> None:
    command = [sys.executable, str(ROOT / "train" / "model_card.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_check_ends_with_one_line_and_status_2_where_they_disagree(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train" / "model_card.py"), "--check", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
