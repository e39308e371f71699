"""The gate's network, and how it is trained: on pictures made anew for every step."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from gate import bodies, defects, drawn, metal
from gate.sources import Picture
from osteolens.films.gate import FINDINGS, SIDE, TURNS, view

UNKNOWN = float("nan")


class GateNetwork(nn.Module):
    """Grey picture in, one logit per finding and per turn out; its normalisation is inside."""

    def __init__(self) -> None:
        super().__init__()
        first = [nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        widths = [(16, 32, 2), (32, 64, 1), (64, 96, 2), (96, 96, 1), (96, 128, 2), (128, 192, 1)]
        self.body = nn.Sequential(*first, *(_separable(*width) for width in widths))
        self.head = nn.Linear(192, len(FINDINGS) + len(TURNS))

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, 1, SIDE, SIDE] of 0 to 255 -> float32 [N, findings and turns]."""
        scores: Tensor = self.head(self.body(x / 127.5 - 1).mean(dim=(2, 3)))
        return scores


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Pictures to fit on, uint8 [h, w] each.

    Attributes:
        films: Whole films and legs of them.
        knees: Single knees of the osteoarthritis collection.
        others: Pictures of anything else.
        chests: Radiographs of something else.
        implants: Knees with real implants.
    """

    films: list[Picture]
    knees: list[Picture]
    others: list[Picture]
    chests: list[Picture]
    implants: list[Picture]


class Examples:
    """Makes examples: a picture, and what is true of it.

    Args:
        fit: What they are made of.
        random: Decides everything.
    """

    def __init__(self, fit: Fit, random: Generator) -> None:
        self.fit, self.random = fit, random

    def batch(self, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Pictures uint8 [N, SIDE, SIDE], findings float32 [N, findings] (NaN: not known), turns int64 [N] (-1)."""
        made = [self.example() for _ in range(size)]
        pictures, findings, turns = zip(*made, strict=True)
        return np.stack(pictures), np.array(findings, np.float32), np.array(turns, np.int64)

    def example(self) -> tuple[Picture, list[float], int]:
        """One example."""
        random = self.random
        kind = random.random()
        if kind < 0.32:
            return self._good()
        if kind < 0.76:
            return self._spoilt()
        return self._other()

    def _knee(self) -> Picture:
        pool = self.fit.films if self.random.random() < 0.6 else self.fit.knees
        return defects.vary(self.random, _any(self.random, pool))

    def _good(self) -> tuple[Picture, list[float], int]:
        return view(self._knee()), _truth(knee=1.0), 0

    def _spoilt(self) -> tuple[Picture, list[float], int]:
        random, picture = self.random, self._knee()
        defect = str(random.choice((*FINDINGS[1:], "turned", "turned", "metal", "implant", "inverted")))
        turn = 0
        if defect == "turned":
            turn = int(random.integers(1, 4))
            return view(np.rot90(picture, -turn).copy()), _truth(knee=1.0), turn
        if defect == "implant":
            # Some are seen from the side: whether that is a knee from the front is not asked.
            picture = defects.vary(random, _any(random, self.fit.implants))
            return view(picture), _truth(metal=1.0, knee=UNKNOWN, inverted=UNKNOWN, leaning=UNKNOWN), -1
        if defect == "inverted":
            picture = 255 - picture
        elif defect == "metal":
            picture = metal.implant(random, picture)
        elif defect == "leaning":
            picture = defects.lean(picture, float(random.choice([-1, 1]) * random.uniform(15, 45)))
        elif defect == "written":
            picture = defects.write(random, picture)
        elif defect == "photographed":
            behind = _any(random, self.fit.others) if random.random() < 0.5 else None
            picture, turn = defects.photograph(random, picture, behind), -1
        else:
            picture, turn = self._collage(), -1
        return view(picture), _truth(knee=1.0, **{defect: 1.0}), turn

    def _collage(self) -> Picture:
        random = self.random
        rows, columns = [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (1, 3)][int(random.integers(7))]
        pool = self.fit.films + self.fit.knees[: len(self.fit.films)] + self.fit.implants
        several = [_any(random, pool) for _ in range(rows * columns if random.random() < 0.8 else 1)]
        return defects.collage(random, several, rows, columns)

    def _other(self) -> tuple[Picture, list[float], int]:
        random, kind = self.random, self.random.random()
        if kind < 0.25:
            picture = drawn.draw(random)
        elif kind < 0.45:
            picture = drawn.draw(random, of=bodies.KINDS)
        elif kind < 0.8:
            picture = _piece(random, _any(random, self.fit.others))
        else:
            picture = defects.vary(random, _any(random, self.fit.chests))
        if random.random() < 0.5:
            picture = defects.vary(random, picture)
        if random.random() < 0.2:
            picture = np.rot90(picture, int(random.integers(1, 4))).copy()
        if random.random() < 0.15:
            picture = 255 - picture
        return view(np.ascontiguousarray(picture)), [0.0, *[UNKNOWN] * (len(FINDINGS) - 1)], -1


def _any(random: Generator, pool: list[Picture]) -> Picture:
    return pool[int(random.integers(len(pool)))]


def _piece(random: Generator, picture: Picture) -> Picture:
    """All of a picture, or a part of it, in which a large one has many subjects."""
    if random.random() < 0.4 or min(picture.shape) < 128:
        return picture
    height, width = (int(side * random.uniform(0.35, 1)) for side in picture.shape)
    top, left = int(random.uniform(0, picture.shape[0] - height)), int(random.uniform(0, picture.shape[1] - width))
    return picture[top : top + height, left : left + width]


def _truth(**true: float) -> list[float]:
    return [true.get(name, 0.0) for name in FINDINGS]


def loss_of(scores: Tensor, findings: Tensor, turns: Tensor) -> Tensor:
    """Cross-entropy of what is known."""
    known = ~findings.isnan()
    single = F.binary_cross_entropy_with_logits(scores[:, : len(FINDINGS)], findings.nan_to_num(), reduction="none")
    turned = F.cross_entropy(scores[:, len(FINDINGS) :], turns, ignore_index=-1)
    return (single * known).sum() / known.sum() + 0.3 * turned


def train(fit: Fit, *, steps: int, size: int, seed: int, report: int = 100) -> GateNetwork:
    """A trained network, in evaluation mode."""
    torch.manual_seed(seed)
    examples, network = Examples(fit, np.random.default_rng(seed)), GateNetwork()
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    total = 0.0
    for step in range(1, steps + 1):
        pictures, findings, turns = examples.batch(size)
        x = torch.from_numpy(pictures)[:, None].float().contiguous(memory_format=torch.channels_last)
        loss = loss_of(network(x), torch.from_numpy(findings), torch.from_numpy(turns))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % report == 0:
            print(f"step {step} of {steps}: loss {total / report:.4f}", flush=True)
            total = 0.0
    return network.eval()


def graph(network: GateNetwork, path: str) -> None:
    """Write the network as ONNX: input `films` float32 [1, 1, SIDE, SIDE], output `scores`."""
    blank = torch.zeros(1, 1, SIDE, SIDE)
    torch.onnx.export(
        network, (blank,), path, opset_version=17, dynamo=False, input_names=["films"], output_names=["scores"]
    )
