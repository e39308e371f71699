from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from bench.made_up import case
from osteolens.bench.turns import Series, take_turns


@pytest.fixture
def progress() -> Progress:
    return Progress(console=Console(file=StringIO()), disable=True)


def test_every_series_is_measured_once_per_round(progress: Progress) -> None:
    series = [Series(case(backend)) for backend in ("eager", "onnx-fp32", "openvino")]
    assert take_turns(series, 4, 0, lambda entry, index: entry.add(index, [index + 1.0], 10.0), progress)
    for entry in series:
        assert [turn_taken.index for turn_taken in entry.rounds] == [0, 1, 2, 3]
        assert entry.latencies_ms == [1, 2, 3, 4]
        assert entry.measurement("run-1").p50_ms == 2.5


def test_ctrl_c_leaves_what_was_measured(progress: Progress) -> None:
    series = [Series(case("eager")), Series(case("onnx-fp32"))]

    def turn(entry: Series, index: int) -> None:
        if index == 2:
            raise KeyboardInterrupt
        entry.add(index, [1.0], 10.0)

    assert not take_turns(series, 4, 0, turn, progress)
    assert [len(entry.rounds) for entry in series] == [2, 2]


def test_other_errors_are_not_taken_for_ctrl_c(progress: Progress) -> None:
    def turn(entry: Series, index: int) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        take_turns([Series(case())], 1, 0, turn, progress)
