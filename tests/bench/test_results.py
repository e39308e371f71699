"""The schema, the files, and the refusal to divide what was not measured in turns."""

import csv
import json
from pathlib import Path

import pytest

from bench.made_up import PARITY, PROCESS, case, measurement, results, traffic
from osteolens.bench.results import load, ratio, save
from osteolens.bench.show import write_csv
from osteolens.errors import BenchmarkError


def test_a_ratio_within_a_run() -> None:
    interval = ratio(measurement([20, 40, 60, 80, 100]), measurement([10, 20, 30, 40, 50], case("onnx-fp32")))
    assert (interval.value, interval.low, interval.high) == (2, 2, 2)


def test_a_ratio_pairs_the_rounds_that_both_have() -> None:
    """After Ctrl-C a case may have a round more."""
    assert ratio(measurement([20, 40, 1]), measurement([10, 20])).value == 2


def test_no_ratio_between_runs() -> None:
    with pytest.raises(BenchmarkError, match=r"no ratio of eager \(run run-1\) to eager \(run run-2\).*in turns"):
        ratio(measurement([1.0] * 5), measurement([1.0] * 5, run_id="run-2"))


def test_percentiles_are_over_all_calls_and_films_a_second_over_rounds() -> None:
    figures = measurement([10, 20, 40])
    assert (figures.p50_ms, figures.p95_ms, figures.calls) == (20, 38, 3)
    assert figures.films_per_second == 50
    assert figures.medians == {0: 10, 1: 20, 2: 40}


def test_json_round_trip(tmp_path: Path) -> None:
    written = results(measurement([1, 2, 3], parity=PARITY, process=PROCESS), measurement([2, 4], case("server")))
    save(written, tmp_path / "bench.json")
    assert load(tmp_path / "bench.json") == written
    assert json.loads((tmp_path / "bench.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"surprise": 1}, {"runs": 3}])
def test_another_schema_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(results(measurement([1, 2])).model_dump(mode="json") | change))
    with pytest.raises(BenchmarkError, match=rf"bench.json is not a bench.json of version 1: {next(iter(change))}: "):
        load(path)


def test_csv_holds_the_figures_of_every_measurement(tmp_path: Path) -> None:
    served = measurement([50], case("server", threads=None, concurrency=8), traffic=traffic({200: 9, 503: 2}))
    write_csv(results(measurement([10, 20, 40], parity=PARITY, process=PROCESS), served), tmp_path / "bench.csv")
    with (tmp_path / "bench.csv").open() as stream:
        local, server = csv.DictReader(stream)
    assert {name: local[name] for name in ("backend", "threads", "heat_map", "p50_ms", "rounds", "calls")} == {
        "backend": "eager", "threads": "1", "heat_map": "none", "p50_ms": "20.0", "rounds": "3", "calls": "3",
    }  # fmt: skip
    assert (local["parity_t_score"], local["peak_rss_mib"], local["status_200"]) == ("0.5", "300.0", "")
    assert (server["concurrency"], server["status_503"], server["failures"], server["import_s"]) == ("8", "2", "0", "")


def test_warnings() -> None:
    spinning = PROCESS.model_copy(update={"idle_cpu_percent": 30.0})
    failed = measurement([1], case("server"), traffic=traffic({200: 1, 503: 4}))
    faulty = results(
        measurement([1], process=spinning),
        measurement([1], case("openvino"), process=PROCESS),
        failed,
        load_before=3.0,
        run={"complete": False, "others_percent": 25.0},
    ).warnings
    for text in ("load average 3.0", "interrupted", "took 25 %", "eager, threads: 1, took 30 %", "503: 4"):
        assert sum(text in warning for warning in faulty) == 1, text
    assert results(measurement([1], process=PROCESS)).warnings == []
