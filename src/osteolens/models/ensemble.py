"""Several models (of folds, of architectures) as one: mean probability, and what each member says."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from osteolens.models.base import KneeModel


class Ensemble(nn.Module):
    """All that `KneeModel` offers for answering, from M trained members.

    Args:
        members: They share labels, input size and the grid of the feature map, and all give T-scores or none does.
    """

    def __init__(self, members: Sequence[KneeModel]) -> None:
        super().__init__()
        self.members = cast("Sequence[KneeModel]", nn.ModuleList(members))
        self.channels = [member.classifier.in_features for member in members]
        self.has_t_score = members[0].has_t_score

    def features(self, x: Tensor) -> Tensor:
        """The members' last feature maps side by side.

        Args:
            x: uint8 [N, 1, H, W] (or float of the same range).

        Returns:
            float32 [N, sum of C, h, w]; `split` takes it apart.
        """
        grey = x.to(torch.float32)  # once for all members
        maps: list[Tensor] = []
        for member in self.members:
            maps.append(member.features(grey))
        return torch.cat(maps, dim=1)

    def split(self, features: Tensor) -> list[Tensor]:
        """The feature map [N, C, h, w] of each member."""
        return list(torch.split(features, self.channels, dim=1))

    def outputs(self, features: Tensor) -> list[Tensor]:
        """All answers, in the order of `osteolens.runtime.Prediction`.

        Returns:
            Logits [N, K], which are the logarithm of the mean probability: their softmax is the mean probability;
            T-scores [N], the mean; the members' own logits [N, M, K] and T-scores [N, M].
        """
        parts = self.split(features)
        logits: list[Tensor] = []
        t_scores: list[Tensor] = []
        for index, member in enumerate(self.members):
            one_logits, one_t_score = member.head(parts[index])
            logits.append(one_logits)
            t_scores.append(one_t_score)
        all_logits, all_t_scores = torch.stack(logits, dim=1), torch.stack(t_scores, dim=1)
        mean = all_logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(len(logits))
        return [mean, all_t_scores.mean(dim=1), all_logits, all_t_scores]

    def head(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The first two of `outputs`: logits [N, K] and T-scores [N]."""
        answers = self.outputs(features)
        return answers[0], answers[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, 1, H, W] -> logits [N, K], T-scores [N]."""
        return self.head(self.features(x))
