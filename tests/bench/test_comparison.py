import pytest

from bench.made_up import MACHINE, case, measurement, results
from osteolens.bench.compare import NOT_INTERLEAVED, cautions, compare, show
from osteolens.errors import BenchmarkError

OLD = results(
    measurement([10, 11, 12, 13, 14]),
    measurement([5, 5, 5, 5, 5], case("onnx-fp32")),
    measurement([1], case("openvino")),
)
NEW = results(
    measurement([20, 21, 22, 23, 24], run_id="run-2"),
    measurement([5, 5, 5, 5, 5], case("onnx-fp32"), run_id="run-2"),
    measurement([1], case("torchscript"), run_id="run-2"),
)


def test_differences_of_what_both_have() -> None:
    changes = {case.backend: (before, after, change) for case, before, after, change in compare(OLD, NEW)}
    assert set(changes) == {"eager", "onnx-fp32"}
    before, after, change = changes["eager"]
    assert (before.value, after.value, change.value) == (12, 22, 10)
    assert 10 <= before.low <= 12 <= before.high <= 14
    assert 6 <= change.low < 10 < change.high <= 14
    assert change.excludes_zero
    assert not changes["onnx-fp32"][2].excludes_zero


def test_it_never_gives_a_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    show(OLD, NEW)
    printed = capsys.readouterr().out
    assert NOT_INTERLEAVED in printed
    assert "+10.00 (" in printed
    assert "1.83" not in printed  # 22 / 12
    rows = {line.split("│")[1].strip(): line.split("│")[-2].strip() for line in printed.splitlines() if "│" in line}
    assert rows == {"eager": "yes", "onnx-fp32": "no"}


def test_too_few_rounds_are_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    show(results(measurement([10.0] * 4)), NEW)
    assert "too few rounds" in capsys.readouterr().out


def test_cautions() -> None:
    faster = MACHINE.model_copy(update={"cpu": "Abacus 2", "packages": {"torch": "3"}})
    sentences = cautions(OLD, NEW.model_copy(update={"machine": faster, "load_before": 2.0}))
    assert sentences == [
        NOT_INTERLEAVED,
        "The machines differ: cpu was Abacus 1 and is Abacus 2.",
        "The machines differ: packages was torch 2 and is torch 3.",
        "The new file says: the machine was busy before the start (load average 2.0).",
    ]
    assert cautions(OLD, NEW) == [NOT_INTERLEAVED]


def test_files_that_cannot_be_compared() -> None:
    with pytest.raises(BenchmarkError, match="both files hold run run-1"):
        list(compare(OLD, OLD))
    with pytest.raises(BenchmarkError, match="no measurement in common"):
        list(compare(OLD, results(measurement([1], case(threads=2), run_id="run-3"))))
