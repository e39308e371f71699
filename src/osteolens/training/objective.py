"""Loss of training: class, rank and T-score together."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of the class, plus errors of the expected rank and of the T-score where a film has one.

    Attributes:
        class_weights: float32 [K].
        label_smoothing: Share of probability spread over all classes.
        t_score_weight: Factor of the T-score's Huber loss.
        ordinal_weight: Factor of the mean squared error of the expected rank, for labels in order of severity.
    """

    class_weights: Tensor
    label_smoothing: float
    t_score_weight: float
    ordinal_weight: float = 0.0

    def __call__(self, logits: Tensor, t_scores: Tensor, labels: Tensor, measured: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: float [N, K].
            t_scores: float [N], predicted.
            labels: int64 [N].
            measured: float [N], the T-score; NaN where a film has none.

        Returns:
            float32 scalar.
        """
        # In fp32 even where the model runs in fp16, whose exponentials overflow at 65504.
        loss = F.cross_entropy(logits.float(), labels, weight=self.class_weights, label_smoothing=self.label_smoothing)
        if self.ordinal_weight:
            ranks = torch.arange(logits.shape[1], dtype=torch.float32, device=logits.device)
            expected = logits.float().softmax(dim=1) @ ranks
            loss = loss + self.ordinal_weight * F.mse_loss(expected, labels.float())
        known = measured.isfinite()
        if self.t_score_weight == 0 or not known.any():
            return loss
        return loss + self.t_score_weight * F.huber_loss(t_scores.float()[known], measured[known])


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights float32 [K] that make each class count the same: N / (K * films of the class).

    Args:
        labels: int64 [N]; every class occurs.
        classes: K.
    """
    counts = torch.bincount(labels, minlength=classes)
    return len(labels) / (classes * counts.float())
