"""A small model, its settings and batches."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import torch
from torch import nn

from osteolens.models import KneeModel
from osteolens.training.config import Configuration
from osteolens.training.engine import Learner
from osteolens.training.objective import Objective
from osteolens.training.optimise import Schedule, build_optimiser, choose_precision


class InThisProcess(Executor):
    """Trains the folds of a cross-validation one after the other here: others import PyTorch for seconds first."""

    def submit(self, train: Callable[..., None], /, *what: Any, **_: Any) -> Future[None]:  # type: ignore[override]
        future: Future[None] = Future()
        try:
            future.set_result(train(*what))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


def configuration(**sections: dict[str, Any]) -> Configuration:
    return Configuration.model_validate({"dataset": {"name": "Squares"}} | sections)


def tiny_learner(**objective: float) -> Learner:
    """A model of one convolution."""
    torch.manual_seed(0)
    backbone = nn.Conv2d(3, 4, 3)
    model = KneeModel(backbone, 4, 3, has_t_score=True, mean=(0.5,) * 3, std=(0.5,) * 3)
    precision = choose_precision("fp32", torch.device("cpu"))
    settings = {"label_smoothing": 0.0, "t_score_weight": 1.0} | objective
    return Learner(
        model=model,
        objective=Objective(torch.ones(3), **settings),
        optimiser=build_optimiser(model, 0.01, 0.1),
        schedule=Schedule(peak=0.01, steps_per_epoch=2, epochs=3, warmup_epochs=0),
        precision=precision,
        scaler=precision.scaler(),
    )


def tiny_batches(count: int = 2) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(1)
    return [
        (
            torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8, generator=random),
            torch.tensor([0, 1, 2, 1]),
            torch.tensor([0.0, -1.5, -3.0, float("nan")]),
        )
        for _ in range(count)
    ]
