"""Settings, figures and pages of a study in MLflow, if that is installed; MLFLOW_TRACKING_URI says where."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osteolens.card import Card
from osteolens.errors import OsteoLensError
from osteolens.training.config import Configuration


def require(experiment: str) -> None:
    """Refuse before anything runs, and not when all is done.

    Raises:
        OsteoLensError: MLflow is not installed, or its store cannot be reached.
    """
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise OsteoLensError(f"--mlflow needs {error.name}: pip install mlflow") from error
    with _in_a_line():
        mlflow.set_experiment(experiment)


def log(experiment: str, config: Configuration, card: Card, files: Sequence[Path]) -> None:
    """Log a finished study as a run of an experiment.

    Raises:
        OsteoLensError: The store cannot be reached.
    """
    import mlflow

    metrics = {metric_name(each.subject, m.name): m.value for each in card.evaluations for m in each.metrics}
    with _in_a_line():
        mlflow.set_experiment(experiment)
        with mlflow.start_run(run_name=f"{card.name} {card.version}"):
            mlflow.log_params(flat(config.model_dump(mode="json")))
            mlflow.log_metrics(metrics)
            mlflow.set_tag("card_sha256", card.sha256)
            for path in files:
                mlflow.log_artifact(str(path))


@contextmanager
def _in_a_line() -> Iterator[None]:
    """Turn MLflow's own error, whose message says what to do, into ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise OsteoLensError(f"MLflow: {error}; MLFLOW_TRACKING_URI says where it logs to") from error


def metric_name(subject: str, figure: str) -> str:
    """A name that MLflow takes: letters, digits, spaces and few signs."""
    return re.sub(r"[^\w ./-]", "", f"{subject}/{figure}".replace(" + ", " with "))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flattened
