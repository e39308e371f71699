"""The structure that every model shares: film in, feature map, linear heads."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KneeModel(nn.Module):
    """A backbone behind its own normalisation, and linear heads behind global average pooling.

    Args:
        backbone: float32 [N, 3, H, W] -> feature map [N, C, h, w].
        channels: C.
        labels: Number of classes K.
        has_t_score: Whether there is a T-score head; without it `t_score` is NaN.
        mean, std: The backbone's normalisation per channel, for grey values scaled to 0..1.
        dropout: Share of pooled features dropped in training.
        mirrored: Whether an answer is the mean over the film and its mirror image, at twice the time. Heads are linear,
            so the mean of both feature maps, the second mirrored back, gives the mean logits, and their maps too.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        labels: int,
        *,
        has_t_score: bool,
        mean: Sequence[float],
        std: Sequence[float],
        dropout: float = 0.0,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, labels)
        self.has_t_score = has_t_score
        self.regressor = nn.Linear(channels, 1)
        self.mean: Tensor
        self.std: Tensor

    def normalise(self, x: Tensor) -> Tensor:
        """What the backbone takes, float32 [N, 3, H, W] ([N, 1, H, W] once it reads grey); `x` as in `features`."""
        # In this form an exported graph folds all but one product and one difference into constants.
        return x.to(torch.float32) * (1.0 / (255.0 * self.std)) - self.mean / self.std

    def features(self, x: Tensor) -> Tensor:
        """The last feature map.

        Args:
            x: uint8 [N, 1, H, W] (or float of the same range, as some explanation methods need).

        Returns:
            float32 [N, C, h, w].
        """
        return self.feature_map(self.normalise(x))

    def feature_map(self, normalised: Tensor) -> Tensor:
        """The last feature map [N, C, h, w] of what `normalise` gives; training sees each film one way at a time."""
        if not self.mirrored or self.training:
            features: Tensor = self.backbone(normalised)
            return features
        both: Tensor = self.backbone(torch.cat([normalised, normalised.flip(3)]))
        films = normalised.shape[0]
        return (both[:films] + both[films:].flip(3)) / 2

    def head(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """From a feature map [N, C, h, w] to logits [N, K] and T-scores [N]."""
        return self.answers(features.mean(dim=(2, 3)))

    def answers(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From the mean [N, C] of a feature map to logits [N, K] and T-scores [N]."""
        pooled = self.dropout(pooled)
        logits: Tensor = self.classifier(pooled)
        if self.has_t_score:
            return logits, self.regressor(pooled).squeeze(1)
        return logits, torch.full_like(logits[:, 0], float("nan"))

    def maps(self, features: Tensor) -> Tensor:
        """Grad-CAM of every class without a gradient, float32 [N, K, h, w], 0 and above, not scaled.

        Behind average pooling and a linear layer the gradient of logit c by channel k is w[c, k] / (h w) everywhere,
        so Grad-CAM (Selvaraju et al. 2017) is relu(sum over k of w[c, k] / (h w) x A[k]), a 1 x 1 convolution:
        but for the relu the class activation map of Zhou et al. (2016).
        """
        weights = self.classifier.weight / (features.shape[2] * features.shape[3])
        return F.relu(F.conv2d(features, weights[:, :, None, None]))

    def outputs(self, features: Tensor) -> list[Tensor]:
        """All outputs, in the order of `inference.runtimes.Prediction`: logits, T-scores, maps and pooled features."""
        pooled = features.mean(dim=(2, 3))
        logits, t_score = self.answers(pooled)
        return [logits, t_score, self.maps(features), pooled]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, 1, H, W] -> logits [N, K], T-scores [N]."""
        return self.head(self.features(x))
