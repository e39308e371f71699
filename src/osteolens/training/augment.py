"""Augmentation: films varied as radiographs vary, in pose, exposure and sharpness, with markers erased.

It works on prepared pictures, after the one preprocessing and never in its place.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]
from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]

from osteolens.training.config import AugmentSection

PATCH_AREA = (0.01, 0.06)
BLUR_KERNEL = 7


def derived_seed(*numbers: int) -> int:
    """Random seed from several numbers, such as run seed, epoch and index; unlike sums, (0, 1) and (1, 0) differ."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def random_gamma(picture: Tensor, strength: float) -> Tensor:
    """Change the exposure: gamma between exp(-strength) and exp(strength)."""
    changed: Tensor = F.adjust_gamma(picture, math.exp(_uniform(-strength, strength)))
    return changed


def erase_borders(picture: Tensor, largest: float) -> Tensor:
    """Black out a strip at each of the four sides, where side markers and annotations are.

    Args:
        picture: uint8 [1, H, W].
        largest: The widest strip, as a share of the side.
    """
    height, width = picture.shape[-2:]
    top, bottom, left, right = (round(_uniform(0, largest) * side) for side in (height, height, width, width))
    inner = torch.zeros_like(picture)
    inner[:, top : height - bottom, left : width - right] = picture[:, top : height - bottom, left : width - right]
    return inner


def build_transform(spec: AugmentSection) -> v2.Transform:
    """Chain the steps whose strength is not 0 into one transform of uint8 [1, H, W]."""
    steps: dict[v2.Transform, float] = {
        v2.RandomAffine(
            spec.rotation,
            translate=(spec.shift, spec.shift),
            scale=(1 - spec.zoom, 1 + spec.zoom),
            interpolation=v2.InterpolationMode.BILINEAR,
        ): spec.rotation + spec.shift + spec.zoom,
        v2.RandomHorizontalFlip(spec.flip): spec.flip,
        v2.ColorJitter(brightness=spec.brightness, contrast=spec.contrast): spec.brightness + spec.contrast,
        v2.Lambda(partial(random_gamma, strength=spec.gamma)): spec.gamma,
        v2.RandomApply([v2.GaussianBlur(BLUR_KERNEL, (0.1, max(spec.blur, 0.1)))]): spec.blur,
        v2.RandomApply([v2.GaussianNoise(sigma=spec.noise)]): spec.noise,
        v2.RandomErasing(spec.patches, scale=PATCH_AREA): spec.patches,
        v2.Lambda(partial(erase_borders, largest=spec.borders)): spec.borders,
    }
    return v2.Compose([v2.Identity(), *(step for step, strength in steps.items() if strength > 0)])


@dataclass(frozen=True)
class Augmentation:
    """One epoch's augmentation: what happens to a film depends on seed, epoch and index, and on nothing else."""

    transform: v2.Transform
    seed: int
    epoch: int

    def __call__(self, picture: Tensor, index: int) -> Tensor:
        """Vary one film.

        Args:
            picture: uint8 [1, H, W].
            index: Position of the film among the training films.

        Returns:
            uint8 [1, H, W].
        """
        # Transforms v2 draw from torch's global generator: a fork leaves dropout's random numbers alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.seed, self.epoch, index))
            varied: Tensor = self.transform(picture)
        return varied


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(1).uniform_(low, high))
