"""Settings, figures and pages of a study in MLflow, if that is installed; MLFLOW_TRACKING_URI says where."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osteolens.card import Card
from osteolens.errors import OsteoLensError
from osteolens.training.config import Configuration


def require() -> None:
    """Refuse before anything runs.

    Raises:
        OsteoLensError: MLflow is not installed.
    """
    try:
        import mlflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise OsteoLensError(f"--mlflow needs {error.name}: pip install mlflow") from error


def log(experiment: str, config: Configuration, card: Card, files: Sequence[Path]) -> None:
    """Log a finished study as a run of an experiment."""
    import mlflow

    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=f"{card.name} {card.version}"):
        mlflow.log_params(flat(config.model_dump(mode="json")))
        mlflow.log_metrics(
            {metric_name(each.subject, m.name): m.value for each in card.evaluations for m in each.metrics}
        )
        mlflow.set_tag("card_sha256", card.sha256)
        for path in files:
            mlflow.log_artifact(str(path))


def metric_name(subject: str, figure: str) -> str:
    """A name that MLflow takes: letters, digits, spaces and few signs."""
    return re.sub(r"[^\w ./-]", "", f"{subject}/{figure}".replace(" + ", " with "))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
