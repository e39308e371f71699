"""Several models (of folds, of architectures) as one model: the mean probability, and each member's own outputs."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from osteolens.models.base import KneeModel


class Ensemble(nn.Module):
    """M trained members with the methods of `KneeModel` that answering needs.

    Args:
        members: They share labels, input size and the grid of the feature map, and all give T-scores or none does.
    """

    def __init__(self, members: Sequence[KneeModel]) -> None:
        super().__init__()
        self.members = cast("Sequence[KneeModel]", nn.ModuleList(members))
        self.channels = [member.classifier.in_features for member in members]
        self.has_t_score = members[0].has_t_score
        self.same_input = [_first_alike(members, member) for member in members]

    def features(self, x: Tensor) -> Tensor:
        """The members' last feature maps side by side.

        Args:
            x: uint8 [N, 1, H, W] (or float of the same range).

        Returns:
            float32 [N, sum of C, h, w]; `split` takes it apart.
        """
        inputs: list[Tensor] = []
        maps: list[Tensor] = []
        for index, member in enumerate(self.members):
            first = self.same_input[index]  # whose input is made once for all that normalise alike
            inputs.append(inputs[first] if first < index else member.normalise(x))
            maps.append(member.feature_map(inputs[index]))
        return torch.cat(maps, dim=1)

    def split(self, features: Tensor) -> list[Tensor]:
        """The feature map [N, C, h, w] of each member."""
        return list(torch.split(features, self.channels, dim=1))

    def outputs(self, features: Tensor) -> list[Tensor]:
        """All outputs, in the order of `osteolens.inference.runtimes.Prediction`.

        Returns:
            Logits [N, K], which are the logarithm of the mean probability: their softmax is the mean probability;
            T-scores [N], the mean; maps [N, K, h, w], the mean of the members' maps as they are; pooled features
            [N, sum of C] side by side; the members' own logits [N, M, K] and T-scores [N, M].
        """
        parts = self.split(features)
        logits: list[Tensor] = []
        t_scores: list[Tensor] = []
        maps: list[Tensor] = []
        pooled: list[Tensor] = []
        for index, member in enumerate(self.members):
            outputs = member.outputs(parts[index])
            logits.append(outputs[0])
            t_scores.append(outputs[1])
            maps.append(outputs[2])
            pooled.append(outputs[3])
        all_logits, all_t_scores = torch.stack(logits, dim=1), torch.stack(t_scores, dim=1)
        mean = all_logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(len(logits))
        mean_maps = torch.stack(maps).mean(dim=0)
        return [mean, all_t_scores.mean(dim=1), mean_maps, torch.cat(pooled, dim=1), all_logits, all_t_scores]

    def head(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The first two of `outputs`: logits [N, K] and T-scores [N]."""
        answers = self.outputs(features)
        return answers[0], answers[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, 1, H, W] -> logits [N, K], T-scores [N]."""
        return self.head(self.features(x))


def _first_alike(members: Sequence[KneeModel], member: KneeModel) -> int:
    """Index of the first member with the same normalisation."""
    alike = (torch.equal(other.mean, member.mean) and torch.equal(other.std, member.std) for other in members)
    return list(alike).index(True)
