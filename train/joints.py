"""Train the joint finder: python train/joints.py --data DATA, where DATA holds films/, oa_knees/ and oa_knees.csv."""

import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import onnx
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F

from joint_views import CHANNELS, INPUT_SIDE, Views, drawn_films, negatives, single_knees, whole_films
from osteolens.exporting.onnx import without_folders

BATCH = 64


class Finder(nn.Module):
    """Pictures uint8 [N, 1, S, S] to maps float32 [N, CHANNELS, S / 8, S / 8], see `osteolens.films.joints`."""

    def __init__(self, widths: tuple[int, int, int, int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.low = nn.Sequential(_block(1, a, 2), _block(a, b, 2), _Residual(b), _block(b, c, 2), _Residual(c))
        self.deep = nn.Sequential(_block(c, d, 2), _Residual(d), _Residual(d), nn.Conv2d(d, c, 1))
        self.head = nn.Sequential(_block(c, c), nn.Conv2d(c, CHANNELS, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Presence and side as logits."""
        low = self.low(pictures.float() / 255)
        return self.head(low + F.interpolate(self.deep(low), scale_factor=2.0))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _block(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features + self.second(self.first(features)))


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Focal loss of presence (CenterNet, Zhou et al. 2019), and absolute errors of the rest near a joint."""
    presence, wanted = outputs[:, 0], targets[:, 0]
    share = presence.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = wanted == 1
    focal = torch.where(peak, (1 - share) ** 2 * share.log(), (1 - wanted) ** 4 * share**2 * (1 - share).log())
    near = targets[:, -1]
    errors = (outputs[:, 1:5] - targets[:, 1:5]).abs().sum(dim=1) * near
    side = F.binary_cross_entropy_with_logits(outputs[:, 5], targets[:, 5], reduction="none") * near
    weight = near.sum().clamp(min=1)
    return -focal.sum() / peak.sum().clamp(min=1) + (errors.sum() + 0.3 * side.sum()) / weight


def train(views: Views, steps: int, rate: float, seed: int) -> Finder:
    """Train from random weights, one cosine from the highest rate to none."""
    torch.manual_seed(seed)
    model = Finder().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    started, total = time.process_time(), 0.0
    for step in range(1, steps + 1):
        drawn = [views.draw() for _ in range(BATCH)]
        pictures = torch.from_numpy(np.stack([pixels for pixels, _ in drawn])[:, None])
        value = loss(model(pictures), torch.from_numpy(np.stack([wanted for _, wanted in drawn])))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        total += value.item()
        if step % 50 == 0:
            print(
                f"step {step} of {steps}: loss {total / 50:.3f}, {time.process_time() - started:.0f} s of CPU",
                flush=True,
            )
            total = 0.0
    return model.eval()


def main(
    data: Annotated[Path, typer.Option(help="Folder with films/, oa_knees/ and oa_knees.csv.")],
    boxes: Annotated[Path, typer.Option(help="Table of joints.")] = Path("evidence/joints/boxes.csv"),
    part: Annotated[list[str], typer.Option(help="Parts of the table to train on.")] = ["develop", "checked"],  # noqa: B006
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("weights/joints/joints.onnx"),
    steps: Annotated[int, typer.Option(min=1, help=f"Steps of {BATCH} views.")] = 1400,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Train the joint finder and write its graph."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    views = Views(
        [*whole_films(boxes, data, part), *drawn_films(8)],
        single_knees(data / "oa_knees.csv"),
        negatives(random),
        random,
    )
    print(f"{len(views.films)} films, {len(views.knees)} single knees, {len(views.others)} other pictures", flush=True)
    model = train(views, steps, rate, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        model, (torch.zeros(1, 1, INPUT_SIDE, INPUT_SIDE, dtype=torch.uint8),), input_names=["film"],
        output_names=["joints"], opset_version=20, dynamo=True, verbose=False,
    )  # fmt: skip
    assert program is not None  # noqa: S101
    onnx.save(without_folders(program.model_proto), out)


if __name__ == "__main__":
    typer.run(main)
