"""What a worker counts, by the names in handlers/metrics.yaml; TorchServe shows it at its metrics address."""

import re
from typing import Any

from ts.metrics.metric_cache_errors import MetricsCacheKeyError
from ts.metrics.metric_type_enum import MetricTypes

from osteolens.errors import ServerError
from osteolens.schema import ErrorAnswer, Row
from osteolens.serving.requests import FAILURE

_FILMS, _STEP_SECONDS = "osteolens_films_total", "osteolens_step_seconds"
_RESERVED = re.compile(r"[^\w .+-]")  # TorchServe ends a label's value at `,`, `:` and `|`


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
    model = context.model_name
    films = context.metrics.get_metric(_FILMS, MetricTypes.COUNTER)
    if isinstance(row, ErrorAnswer):
        films.add_or_update(1, [model, "failed" if row is FAILURE else "refused", "none", row.error.code])
        return
    films.add_or_update(1, [model, "answered", _RESERVED.sub("_", row.label), "none"])
    seconds = context.metrics.get_metric(_STEP_SECONDS, MetricTypes.HISTOGRAM)
    for step, milliseconds in row.timing_ms:
        seconds.add_or_update(milliseconds / 1000, [model, step])
