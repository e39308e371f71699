"""The benchmarks of damage and of random changes, in short, on pictures made here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from conftest import encoded, knee_like

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, BENCHMARKS / f"{script}.py", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_most_damaged_films_are_refused_or_warned_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(4):
        noisy = np.clip(knee_like(512, 448, seed=number) + random.normal(0, 3, (512, 448)), 0, 255).astype(np.uint8)
        (tmp_path / f"{number}.jpg").write_bytes(encoded(noisy, "JPEG", quality=90))
    report = run("damaged_films", "--films", tmp_path, "--count", "100")
    assert report["whole"] == {"films": 4, "refused_or_warned": {}}
    for kind in ("cut_and_closed", "zeroed"):
        assert report[kind]["refused"] == 20
    for kind in ("deleted", "overwritten"):
        assert report[kind]["silent_above_1%"] <= 5
    assert report["one_bit"]["silent"] < 20


def test_random_changes_end_in_a_picture_or_a_named_error() -> None:
    report = run("mutations", "--count", "1500")
    assert report["faults"] == 0
    assert report["peak_gb"] < 1.2
    assert report["outcomes"]["read"] > 100
    assert report["outcomes"]["refused: unreadable_image"] > 500
