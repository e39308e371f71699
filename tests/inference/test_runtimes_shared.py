"""Workers that share the cores: who is alone, and who is not."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from osteolens.inference.runtimes import Prediction
from osteolens.inference.runtimes.shared import SharedRuntime

FILMS = np.zeros((1, 1, 4, 4), np.uint8)
OTHER_WORKER = """
import sys
from pathlib import Path
from osteolens.inference.runtimes.shared import SharedRuntime
with SharedRuntime(None, None, Path(sys.argv[1])).turn():
    print("busy", flush=True)
    sys.stdin.readline()
"""


class Marked:
    """Answers with its own number."""

    def __init__(self, number: float) -> None:
        self.number = np.full((1, 1), number, np.float32)

    def predict(self, films: np.ndarray) -> Prediction:
        return Prediction(self.number, self.number[0], self.number[..., None, None], self.number)


def worker(lock: Path) -> SharedRuntime:
    return SharedRuntime(alone=Marked(2), among_others=Marked(1), lock=lock)


def threads(runtime: SharedRuntime) -> float:
    with runtime.turn():
        return float(runtime.predict(FILMS).logits[0, 0])


def test_a_worker_is_alone_until_another_one_is_busy_and_after_it(tmp_path: Path) -> None:
    lock = tmp_path / "busy.lock"
    ours = worker(lock)
    assert threads(ours) == 2
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_WORKER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "busy\n"
        assert [threads(ours) for _ in range(3)] == [1, 1, 1]  # our own turns do not push the other one out
        other.stdin.write("done\n")
    assert threads(ours) == 2


def test_a_worker_that_is_killed_holds_nobody_up(tmp_path: Path) -> None:
    lock = tmp_path / "busy.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_WORKER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout
        other.stdout.readline()
        other.kill()
    assert threads(worker(lock)) == 2


def test_three_workers_and_the_one_that_was_first_stays_wide_for_its_turn(tmp_path: Path) -> None:
    first, second, third = (worker(tmp_path / "busy.lock") for _ in range(3))
    with first.turn():
        assert threads(second) == 1
        with second.turn():
            assert threads(third) == 1
        assert first.predict(FILMS).logits[0, 0] == 2
    assert threads(third) == 2
