"""What is counted, on TorchServe's own cache of metrics."""

import re
from pathlib import Path

import pytest
from ts.context import Context
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from osteolens.errors import ServerError
from osteolens.quality import Quality
from osteolens.schema import Answer, Film, ModelInfo, Timing
from osteolens.serving.metrics import check_metrics, count

METRICS = Path(__file__).parents[2] / "handlers" / "metrics.yaml"


def cache(path: Path) -> MetricsCacheYamlImpl:
    metrics = MetricsCacheYamlImpl(str(path))
    metrics.initialize_cache()
    return metrics


def test_a_label_that_torchserve_would_cut_is_counted_under_a_similar_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    answer = Answer(
        id="a", label="grade 3: severe, left|right", probabilities={}, t_score=None, triage=None, quality=Quality(),
        film=Film(width=1, height=1), explanations=(), model=ModelInfo(name="m", version="1", card_sha256=""),
        timing_ms=Timing(decode=1, model=2, explain=3),
    )  # fmt: skip
    count(answer, Context("m", "", {}, 1, None, "0.12.0", metrics=cache(METRICS)))
    [counted] = [record.message for record in caplog.records if "osteolens_films_total" in record.message]
    assert re.search(r"\boutcome:answered,label:grade 3_ severe_ left_right,code:none\b", counted)


def test_a_server_without_our_metrics_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text(METRICS.read_text().replace("osteolens_films_total", "films"))
    with pytest.raises(ServerError, match=r"osteolens_films_total.*metrics_config=handlers/metrics\.yaml"):
        check_metrics(cache(tmp_path / "metrics.yaml"))
