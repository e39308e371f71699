"""What a worker counts, by the names in handlers/metrics.yaml; TorchServe shows it at its metrics address."""

from typing import Any

from ts.metrics.metric_cache_errors import MetricsCacheKeyError
from ts.metrics.metric_type_enum import MetricTypes

from osteolens.errors import ServerError
from osteolens.rows import Row
from osteolens.serving.requests import tally

_FILMS, _STEP_SECONDS = "osteolens_films_total", "osteolens_step_seconds"


def check_metrics(metrics: Any) -> None:
    """Make sure that TorchServe knows our metrics: it drops those that are not in its metrics file.

    Raises:
        ServerError: Names the missing metric and the setting.
    """
    try:
        metrics.get_metric(_FILMS, MetricTypes.COUNTER)
        metrics.get_metric(_STEP_SECONDS, MetricTypes.HISTOGRAM)
    except MetricsCacheKeyError as error:
        raise ServerError(f"{error}: set metrics_config=handlers/metrics.yaml in config.properties") from error


def count(row: Row, context: Any) -> None:
    """Count a film by its outcome, and the seconds of an answered one."""
    model, counted = context.model_name, tally(row)
    films = context.metrics.get_metric(_FILMS, MetricTypes.COUNTER)
    films.add_or_update(1, [model, counted.outcome, counted.label, counted.code])
    seconds = context.metrics.get_metric(_STEP_SECONDS, MetricTypes.HISTOGRAM)
    for step, value in counted.seconds.items():
        seconds.add_or_update(value, [model, step])
