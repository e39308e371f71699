"""Model folders: a card and weights, written after training and read to answer."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from osteolens.card import WEIGHTS_FILE, Card, file_sha256, load_card
from osteolens.errors import CardError, DataError
from osteolens.files import whole
from osteolens.films.joints import copy_finder, finder_beside
from osteolens.models.base import KneeModel
from osteolens.models.build import build, for_inference
from osteolens.models.ensemble import Ensemble

ENSEMBLE = "ensemble"
"""The architecture in the card of an ensemble; `members` in the card names the members' own."""

Model = KneeModel | Ensemble
"""What a model folder holds."""


def save_weights(model: nn.Module, folder: Path) -> Path:
    """Write fp16 weights (counters stay integers) as safetensors and return the file's path."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    path = folder / WEIGHTS_FILE
    with whole(path) as draft:
        save_file(state, draft)
    return path


def load(folder: Path) -> tuple[Model, Card]:
    """The model of a folder with `card.json` and `weights.safetensors`, in evaluation mode, ready to answer.

    Raises:
        CardError: Card and weights do not fit each other or the architecture.
    """
    card = load_card(folder)
    model = untrained(card)
    try:
        model.load_state_dict(load_weights(folder))
    except RuntimeError as error:
        names = ", ".join(card.members) or card.architecture
        raise CardError(f"{folder / WEIGHTS_FILE} are not weights of {names}: {error}") from error
    return for_inference(model), card


def untrained(card: Card) -> Model:
    """The model that a card describes, before its weights are loaded.

    Raises:
        CardError: The card names no architecture.
    """
    architectures = card.members if card.architecture == ENSEMBLE else (card.architecture,)
    if not architectures:
        raise CardError(f"the card of {card.name} says {ENSEMBLE} and names no members")
    models = [build(name, len(card.labels), has_t_score=card.has_t_score) for name in architectures]
    for model in models:
        model.mirrored = card.mirrored
    return Ensemble(models) if card.architecture == ENSEMBLE else models[0]


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a model folder, in fp32."""
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(folder / WEIGHTS_FILE).items()
    }


def load_backbone(model: KneeModel, folder: Path) -> None:
    """Start a model from the backbone of another trained one; its heads stay as they are.

    Args:
        model: As `build` makes it.
        folder: A model folder of the same architecture, whatever its labels.

    Raises:
        CardError: Card and weights do not fit each other.
        DataError: The backbone is that of another architecture.
    """
    card = load_card(folder)
    state = {
        name.removeprefix("backbone."): value
        for name, value in load_weights(folder).items()
        if name.startswith("backbone.")
    }
    try:
        model.backbone.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{folder} holds {card.architecture}, whose backbone does not fit this model") from error


def save_ensemble(folders: Sequence[Path], out: Path, name: str) -> Card:
    """Write trained models into one model folder, as the members of an ensemble.

    Args:
        folders: Model folders that agree on labels, preprocessing and T-scores.
        out: The new model folder.
        name: The ensemble's name in its card.

    Returns:
        The card as written. Its `data` are the first member's, and it has no evaluations: the caller puts in what
        holds for the ensemble.

    Raises:
        CardError: Card and weights of a member do not fit each other.
        DataError: There are fewer than two members, or one does not fit the first; nothing is written.
    """
    if len(folders) < 2:
        raise DataError(f"an ensemble needs two members or more, found {len(folders)}")
    cards = [load_card(folder) for folder in folders]
    _check_members(folders)
    state = {
        f"members.{index}.{tensor}": value
        for index, folder in enumerate(folders)
        for tensor, value in load_file(folder / WEIGHTS_FILE).items()
    }
    out.mkdir(parents=True, exist_ok=True)
    with whole(out / WEIGHTS_FILE) as draft:
        save_file(state, draft)
    if cards[0].joints_sha256:
        copy_finder(finder_beside(folders[0]), out)
    card = Card(
        name=name,
        architecture=ENSEMBLE,
        members=tuple(card.architecture for card in cards),
        labels=cards[0].labels,
        border=cards[0].border,
        condition=cards[0].condition,
        has_t_score=cards[0].has_t_score,
        preprocess=cards[0].preprocess,
        mirrored=cards[0].mirrored,
        weights_sha256=file_sha256(out / WEIGHTS_FILE),
        joints_sha256=cards[0].joints_sha256,
        data=cards[0].data,
        licence=cards[0].licence,
    )
    card.save(out)
    return card


def _check_members(folders: Sequence[Path]) -> None:
    """Refuse members that cannot answer together."""
    first: dict[str, object] = {}
    for folder in folders:
        model, card = load(folder)
        if isinstance(model, Ensemble):
            raise DataError(f"{folder} is an ensemble itself: name its members' folders instead")
        blank = torch.zeros(1, 1, card.preprocess.height, card.preprocess.width, dtype=torch.uint8)
        facts: dict[str, object] = {
            "labels": card.labels,
            "border": card.border,
            "condition": card.condition,
            "has_t_score": card.has_t_score,
            "preprocess": card.preprocess,
            "mirrored": card.mirrored,
            "grid of the feature map": tuple(model.features(blank).shape[2:]),
        }
        first = first or facts
        for fact, value in facts.items():
            if value != first[fact]:
                raise DataError(f"{folder} does not fit {folders[0]}: {fact} is {value} and not {first[fact]}")
