"""Checkpoint: everything that a killed run needs to go on exactly, in one file that is whole or absent.

The file is safetensors: model, optimiser and best weights as tensors, the rest as JSON in its header. Random
numbers need no state, as each epoch derives its own from the seed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from osteolens.errors import DataError, in_words
from osteolens.files import whole
from osteolens.training.engine import Learner
from osteolens.training.identity import compare

Row = dict[str, float]
"""One epoch's figures; `validation loss` is there if there are validation films."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        history: One row per finished epoch.
        best: The weights of the best epoch so far.
        choose_by: Figure on the validation films that says which epoch is the best.
    """

    history: list[Row] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    choose_by: str = "loss"

    @property
    def best_epoch(self) -> int:
        """The epoch of `best`, counted from 1; the first of equals. 0 before the first.

        Without validation films it is the last.
        """
        sign = -1 if self.choose_by == "loss" else 1
        # A kappa is not defined where all films and answers have one label.
        values = [
            sign * row.get(f"validation {self.choose_by}", -math.inf)
            for row in self.history
            if "validation loss" in row
        ]
        return values.index(max(values)) + 1 if values else len(self.history)

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or too many in a row were no better than the best."""
        done = len(self.history)
        return done >= epochs or done - self.best_epoch >= patience

    def add(self, row: Row, model: nn.Module) -> None:
        """Add a finished epoch, with a copy of its weights if they are the best."""
        self.history.append(row)
        if self.best_epoch == len(self.history):
            self.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def save(path: Path, identity: Mapping[str, Any], progress: Progress, learner: Learner) -> None:
    """Write a checkpoint over the previous one; a kill at any moment leaves one of the two whole.

    Args:
        path: The file.
        identity: What decides the training, see `osteolens.training.identity`: `load` compares it.
        progress: How far the run has come.
        learner: Model and optimiser after the last epoch.
    """
    tensors = {f"model/{name}": value for name, value in learner.model.state_dict().items()}
    if learner.average:
        tensors |= {f"average/{name}": value for name, value in learner.average.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in progress.best.items()}
    for index, state in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": value for name, value in state.items()}
    facts = {"identity": identity, "history": progress.history, "scaler": learner.scaler.state_dict()}
    with whole(path) as draft:
        save_file({name: value.contiguous() for name, value in tensors.items()}, draft, {"facts": json.dumps(facts)})


def load(path: Path, identity: Mapping[str, Any], learner: Learner) -> Progress:
    """Restore a learner from a checkpoint.

    Raises:
        DataError: The file is damaged, or belongs to a run with another configuration or other data.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads(stored.metadata()["facts"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DataError(
            f"the checkpoint {path} cannot be read ({in_words(error)}); delete it to train this model again, or "
            "--restart the run"
        ) from error
    compare(path.parent, facts["identity"], identity)
    learner.model.load_state_dict(_below(tensors, "model/"))
    _restore_optimiser(learner.optimiser, _below(tensors, "optimiser/"))
    learner.scaler.load_state_dict(facts["scaler"])
    if learner.average:
        learner.average.load_state_dict(_below(tensors, "average/"))
    return Progress(facts["history"], _below(tensors, "best/"))


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Fill the optimiser's state; its learning rate and weight decay come from the configuration."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        like = parameters[int(index)]
        if value.shape == like.shape:  # strides decide how sums round, and safetensors stores none
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
