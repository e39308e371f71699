"""What is logged where MLflow is installed, and a line where it is not."""

import sys
from contextlib import nullcontext
from types import ModuleType

import pytest
from support.training import configuration

from osteolens.card import Card, Evaluation, Metric, PreprocessSpec, TrainingData
from osteolens.errors import OsteoLensError
from osteolens.labels import LABELS
from osteolens.study import tracking


def test_without_mlflow_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(OsteoLensError, match="--mlflow needs mlflow: pip install mlflow"):
        tracking.require("knees")


class MlflowException(Exception):
    pass


@pytest.fixture
def mlflow(monkeypatch) -> ModuleType:
    module, exceptions = ModuleType("mlflow"), ModuleType("mlflow.exceptions")
    exceptions.MlflowException = MlflowException
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    return module


def test_a_store_that_cannot_be_reached_is_said_before_anything_runs(mlflow):
    def refuse(name: str) -> None:
        raise MlflowException("the store is in maintenance mode")

    mlflow.set_experiment = refuse
    with pytest.raises(
        OsteoLensError, match="MLflow: the store is in maintenance mode; MLFLOW_TRACKING_URI says where"
    ):
        tracking.require("knees")


def test_settings_figures_and_pages_are_logged(mlflow, tmp_path):
    calls: dict[str, list[object]] = {}
    for name in ("set_experiment", "log_params", "log_metrics", "set_tag", "log_artifact"):
        setattr(mlflow, name, lambda *values, name=name: calls.setdefault(name, []).append(values))
    mlflow.start_run = lambda run_name: calls.setdefault("start_run", []).append(run_name) or nullcontext()
    metric = Metric(name="AUROC osteoporosis vs rest", value=0.7, low=0.6, high=0.8)
    card = Card(
        name="mine", architecture="a", labels=LABELS, has_t_score=False, preprocess=PreprocessSpec(),
        weights_sha256="0" * 64, data=TrainingData(name="n", split="", films={}, groups={}),
        evaluations=(Evaluation(subject="image + age and sex", protocol="", films=1, groups=1, metrics=(metric,)),),
    )  # fmt: skip
    tracking.require("knees")
    tracking.log("knees", configuration(), card, [tmp_path / "report.html"])
    assert calls["set_experiment"] == [("knees",), ("knees",)]
    assert calls["start_run"] == ["mine 1.0"]
    assert calls["log_metrics"] == [({"image with age and sex/AUROC osteoporosis vs rest": 0.7},)]
    ((parameters,),) = calls["log_params"]
    assert parameters["dataset.name"] == "Squares"
    assert parameters["optimisation.epochs"] == 30
    assert calls["log_artifact"] == [(str(tmp_path / "report.html"),)]
    assert calls["set_tag"] == [("card_sha256", card.sha256)]
