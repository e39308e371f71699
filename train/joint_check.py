"""Teach the joint finder to doubt: python train/joint_check.py --data DATA, after `train/joints.py`.

What was found stays as it is; a head on the finder's own features says for each place whether it is a knee or only
looks like one, as parts of a chest do. It learns that from made-up pictures: no radiograph of another part is needed.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import torch
import typer
from onnx import TensorProto, compose, helper
from torch import Tensor, nn
from torch.nn import functional as F

from joint_views import Views, drawn_films, negatives, single_knees, whole_films
from joints import _block, _Residual
from osteolens.exporting.onnx import without_folders

FEATURES = {"relu_3": (16, 32), "relu_6": (32, 16), "relu_11": (64, 8)}
"""Tensors of the finder's graph that the head reads: channels, and cells a side."""
BATCH = 64
NEAR = 0.3
"""Cells of at least this presence, as the trained finder should give it, are a joint's."""


class Check(nn.Module):
    """Features of the finder to logits float32 [N, 1, 16, 16]: whether a joint found there is one."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.fine, self.middle = _block(16, 24, 2), nn.Conv2d(32, 24, 1)
        self.coarse = nn.Conv2d(64, width, 1)
        self.down = nn.Sequential(_block(48, width, 2), _Residual(width))
        self.body = nn.Sequential(_Residual(width), _Residual(width))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """See `FEATURES`."""
        near = self.down(torch.cat([self.fine(fine), F.relu(self.middle(middle))], dim=1))
        return F.interpolate(self.head(self.body(near + self.coarse(coarse))), scale_factor=2.0)


def loss(logits: Tensor, presence: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy where there is a joint, and where the finder sees one that is none."""
    true = (wanted >= NEAR).float()
    empty = (wanted.amax(dim=(1, 2), keepdim=True) == 0).float()
    weight = true + empty * (presence + 0.02)
    each = F.binary_cross_entropy_with_logits(logits[:, 0], true, reduction="none")
    shares = (each * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1e-3)
    return shares.mean()


def batches(views: Views, session: ort.InferenceSession) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
    """Features, presence float32 [N, 16, 16] as found and as wanted, without end."""
    while True:
        drawn = [views.draw() for _ in range(BATCH)]
        outputs = [session.run(["joints", *FEATURES], {"film": pixels[None, None]}) for pixels, _ in drawn]
        presence, *features = (torch.from_numpy(np.concatenate(each)) for each in zip(*outputs, strict=True))
        yield features, presence[:, 0].sigmoid(), torch.from_numpy(np.stack([wanted[0] for _, wanted in drawn]))


def train(views: Views, session: ort.InferenceSession, steps: int, rate: float, seed: int) -> Check:
    """Train from random weights, one cosine from the highest rate to none."""
    torch.manual_seed(seed)
    model, started, total = Check().train(), time.process_time(), 0.0
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    for step, (features, presence, wanted) in zip(range(1, steps + 1), batches(views, session), strict=False):
        value = loss(model(*features), presence, wanted)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        total += value.item()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {total / 50:.4f}, {time.process_time() - started:.0f} s", flush=True)
            total = 0.0
    return model.eval()


def exposed(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """The finder without a check, and the same with its features as outputs."""
    finder = onnx.load(path)
    plain = onnx.utils.Extractor(finder).extract_model(["film"], ["joints"])
    open_ = onnx.ModelProto()
    open_.CopyFrom(plain)
    for name, (channels, side) in FEATURES.items():
        open_.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, side, side]))
    return plain, open_.SerializeToString()


def joined(opened: bytes, check: Check) -> onnx.ModelProto:
    """One graph whose output `maps` float32 [1, 7, 16, 16] has those of the finder, and last the check's logits."""
    blanks = tuple(torch.zeros(1, channels, side, side) for channels, side in FEATURES.values())
    program = torch.onnx.export(
        check, blanks, input_names=["fine", "middle", "coarse"], output_names=["real"], opset_version=20, dynamo=True,
        verbose=False,
    )  # fmt: skip
    assert program is not None  # noqa: S101
    head = compose.add_prefix(without_folders(program.model_proto), "check_")
    names = ("check_fine", "check_middle", "check_coarse")
    graph = onnx.load_from_string(opened)
    head.ir_version = graph.ir_version
    wires = list(zip(FEATURES, names, strict=True))
    both = compose.merge_models(graph, head, io_map=wires, outputs=["joints", "check_real"])
    both.graph.node.append(helper.make_node("Concat", ["joints", "check_real"], ["maps"], axis=1))
    del both.graph.output[:]
    both.graph.output.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 7, 16, 16]))
    onnx.checker.check_model(both, full_check=True)
    return both


def main(
    data: Annotated[Path, typer.Option(help="Folder with films/, oa_knees/ and oa_knees.csv.")],
    boxes: Annotated[Path, typer.Option(help="Table of joints.")] = Path("evidence/joints/boxes.csv"),
    part: Annotated[list[str], typer.Option(help="Parts of the table to train on.")] = ["develop", "checked"],  # noqa: B006
    finder: Annotated[Path, typer.Option(help="The trained finder.")] = Path("weights/joints/joints.onnx"),
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("weights/joints/joints.onnx"),
    steps: Annotated[int, typer.Option(min=1, help=f"Steps of {BATCH} views.")] = 500,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Train the head and write the finder with it."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    films = [*whole_films(boxes, data, part), *drawn_films(8)]
    views = Views(films, single_knees(data / "oa_knees.csv"), negatives(random, drawn_bodies=600), random, hard=True)
    _, opened = exposed(finder)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(opened, options, providers=["CPUExecutionProvider"])
    onnx.save(joined(opened, train(views, session, steps, rate, seed)), out)


if __name__ == "__main__":
    typer.run(main)
