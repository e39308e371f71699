"""Training loop: one epoch, and predictions without gradients."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from osteolens.errors import TrainingError
from osteolens.models import KneeModel, Model
from osteolens.training.optimise import Precision, Schedule

MAX_GRADIENT_NORM = 1.0
Batch = tuple[Tensor, Tensor, Tensor]
"""Pictures uint8 [N, 1, H, W], labels int64 [N], T-scores float32 [N] (NaN: none)."""
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From logits, predicted T-scores, and labels and T-scores as in `Batch` to a scalar."""


@dataclass(frozen=True)
class Learner:
    """A model with its loss, optimiser, schedule and number format.

    Attributes:
        frozen: Parts of the model that stay as they are, batch norms' statistics too.
        average: Moving average of the weights (Polyak and Juditsky 1992), if any: it is what is scored and saved.
    """

    model: KneeModel
    objective: Loss
    optimiser: Optimizer
    schedule: Schedule
    precision: Precision
    scaler: GradScaler
    frozen: Sequence[nn.Module] = ()
    average: AveragedModel | None = None

    @property
    def scored(self) -> KneeModel:
        """The model to score and save."""
        return cast("KneeModel", self.average.module) if self.average else self.model


def train_one_epoch(learner: Learner, batches: Iterable[Batch], epoch: int, on_step: Callable[[float], None]) -> float:
    """Train for one pass over the training films.

    Args:
        learner: Model and optimiser to update.
        batches: As many as `learner.schedule.steps_per_epoch`.
        epoch: Counted from 0.
        on_step: Called with each step's loss.

    Returns:
        The mean loss of the steps.

    Raises:
        TrainingError: The loss is not finite; the weights are still those before that step.
    """
    model, device = learner.model.train(), learner.precision.device
    for part in learner.frozen:
        part.eval()
    losses: list[float] = []
    for step, (pictures, labels, measured) in enumerate(batches, epoch * learner.schedule.steps_per_epoch):
        rate = learner.schedule.apply(learner.optimiser, step)
        with learner.precision.autocast():
            logits, t_scores = model(pictures.to(device))
        loss = learner.objective(logits, t_scores, labels.to(device), measured.to(device))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):  # before the step, so that the weights stay usable
            raise TrainingError(
                f"the loss became {losses[-1]} in epoch {epoch + 1}, step {step + 1}, at learning rate {rate:.2g}: "
                'try a smaller optimisation.learning_rate, or run.precision = "fp32"'
            )
        learner.optimiser.zero_grad()
        learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        learner.scaler.unscale_(learner.optimiser)  # the norm below is that of the true gradients
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        learner.scaler.step(learner.optimiser)
        learner.scaler.update()
        if learner.average:
            learner.average.update_parameters(model)
        on_step(losses[-1])
    return sum(losses) / len(losses)


@torch.no_grad()
def predict(model: Model, pictures: Tensor, batch_size: int, precision: Precision) -> tuple[Tensor, Tensor]:
    """Predict logits float32 [N, K] and T-scores float32 [N], on the CPU, from pictures uint8 [N, 1, H, W]."""
    model.eval()
    outputs = []
    for batch in torch.split(pictures, batch_size):
        with precision.autocast():
            logits, t_scores = model(batch.to(precision.device))
        outputs.append((logits.float().cpu(), t_scores.float().cpu()))
    logits, t_scores = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return logits, t_scores
