"""Optimiser, learning rate and number format."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from osteolens.errors import DataError
from osteolens.models import KneeModel

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """Where the model runs, and in which number format its layers compute."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[None]:
        """Context to run the model in."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)

    def scaler(self) -> GradScaler:
        """Loss scaler that keeps small fp16 gradients from vanishing; does nothing in the other formats."""
        return GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def choose_precision(setting: str, device: torch.device) -> Precision:
    """Choose the number format of a device; `auto` takes bf16 on a GPU that has it, fp16 on another and fp32 on a CPU.

    (On a Xeon with AMX a training step of EfficientNet-Lite0 took 1.5 times as long in bf16 as in fp32.)

    Raises:
        DataError: The device cannot compute in the format that `setting` names.
    """
    gpu = device.type == "cuda"
    if setting == "auto":
        setting = "fp32" if not gpu else "bf16" if _has_bf16(device) else "fp16"
    if (setting == "bf16" and not _has_bf16(device)) or (setting == "fp16" and not gpu):
        raise DataError(f'run.precision is {setting!r}, which this {device.type} does not compute in; use "auto"')
    return Precision(device, FORMATS[setting])


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16") or abilities.get("bf16"))


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: linear warm-up to the peak, then a cosine to zero (Loshchilov and Hutter 2017).

    Attributes:
        peak: The highest rate.
        steps_per_epoch: Optimiser steps in one epoch.
        epochs: Length of the whole schedule.
        warmup_epochs: Length of the warm-up.
    """

    peak: float
    steps_per_epoch: int
    epochs: int
    warmup_epochs: float

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""
        warmup = self.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return self.peak * (step + 1) / (warmup + 1)  # the first step would move nothing at a rate of 0
        rest = max(self.epochs * self.steps_per_epoch - warmup, 1)
        return self.peak * (1 + math.cos(math.pi * min((step - warmup) / rest, 1))) / 2

    def apply(self, optimiser: Optimizer, step: int) -> float:
        """Set the learning rate of a step and return it."""
        rate = self.rate(step)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        return rate


def averaged(model: KneeModel, decay: float) -> AveragedModel | None:
    """Moving average of a model's weights and statistics; None for a decay of 0."""
    if not decay:
        return None
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=move, use_buffers=True)


def build_optimiser(model: KneeModel, learning_rate: float, weight_decay: float, head_factor: float = 1.0) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019), without decay on biases and batch norms.

    Args:
        model: Parameters without gradients are left out.
        learning_rate: That of the backbone.
        weight_decay: On weights.
        head_factor: The heads' learning rate over that of the backbone.
    """
    heads = {id(parameter) for head in (model.classifier, model.regressor) for parameter in head.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            factor = head_factor if id(parameter) in heads else 1.0
            groups.setdefault((factor, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return AdamW(
        [
            {"params": parameters, "weight_decay": decay, "factor": factor}
            for (factor, decay), parameters in groups.items()
        ],
        lr=learning_rate,
    )
