import subprocess
import sys
from pathlib import Path

from osteolens.card import load_card

ROOT = Path(__file__).parents[1]


def test_the_model_card_agrees_with_the_weights() -> None:
    command = [sys.executable, str(ROOT / "train" / "model_card.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_shipped_figures_come_with_intervals_and_baselines() -> None:
    for path in (ROOT / "weights").glob("*/card.json"):
        card = load_card(path.parent)
        subjects = [evaluation.subject for evaluation in card.evaluations]
        assert any("majority" in subject for subject in subjects)
        assert any("age" in subject for subject in subjects)
        for evaluation in card.evaluations:
            assert "trial" not in evaluation.protocol
            assert all(metric.low <= metric.value <= metric.high for metric in evaluation.metrics)
