"""Answers to labelled films by a finished model: one in a folder, in an archive, or behind a server's address."""

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import numpy as np
from rich.console import Console
from rich.progress import track

from osteolens.card import CARD_FILE, FILMS_FILE, FINDER_FILE, WEIGHTS_FILE, Card, file_sha256, load_card
from osteolens.client import DEFAULT_MODEL, Client
from osteolens.console import WEIGHTS
from osteolens.datasets.films import Film
from osteolens.datasets.fingerprints import TrainingFilms, read_training_films
from osteolens.errors import DataError, InputError, in_words
from osteolens.evaluation.answers import MIN_WITH_FACTS, Answers, gate_remarks, protocol_of, refuse_labels, table_of
from osteolens.evaluation.calibration import facts_of
from osteolens.evaluation.evidence import Parameters
from osteolens.evaluation.predictors import answer_as_served
from osteolens.evaluation.running_server import RunningServer
from osteolens.evidence import evidence_of
from osteolens.files import as_text, whole
from osteolens.films.gate import GATE_FILES, Checked, Gate, find_gate
from osteolens.films.joints import finder_of
from osteolens.films.knees import prepare_row
from osteolens.films.read import read
from osteolens.inference.runtimes import BACKENDS, Backend, Runtime, load_runtime
from osteolens.inference.runtimes.loading import FILES

_MODEL_CONFIG, _BACKEND = "model-config.yaml", re.compile(r"^\s*backend:\s*([\w-]+)", re.MULTILINE)


class FinishedModel(Protocol):
    """A model that answers films.

    Attributes:
        label: What messages call it.
        folder: Its model folder, for what needs the model itself; None for a server.
    """

    label: str
    folder: Path | None

    def answer(self, films: Sequence[Film], console: Console) -> Answers:
        """Answer films; those that cannot be read are listed with the reason.

        Raises:
            DataError: No film was answered, or a film has a label that the model does not know.
            ClientError: The server refuses the key or the model, or is not there.
        """
        ...

    def training_films(self) -> TrainingFilms | None:
        """The list of the films that it has learned from; None where there is none."""
        ...


@contextmanager
def opened(model: str, *, key_file: Path | None = None, weights: Path = WEIGHTS) -> Iterator[FinishedModel]:
    """The model that a text names.

    Args:
        model: A model folder, an archive (`.mar`), or the address of a running server, such as
            `http://127.0.0.1:8080/predictions/knee` (without the last part, `efficientnet` is meant).
        key_file: TorchServe's key file, for a server.
        weights: Holds model folders; the one whose card a server names says which films it has learned from.

    Raises:
        CardError, ExportError: Card, weights and graph do not belong together.
        DataError: There is neither such a folder nor such an archive.
        ClientError: The address or the key file makes no sense.
    """
    if model.startswith(("http://", "https://")):
        address, _, name = model.partition("/predictions/")
        with Client(address, key_file=key_file) as client:
            yield RunningServer(client, unquote(name.strip("/")) or DEFAULT_MODEL, weights)
    elif model.endswith(".mar"):
        with tempfile.TemporaryDirectory(prefix="osteolens-") as scratch:
            backend = _unpack(Path(model), Path(scratch))
            yield LocalModel(Path(scratch), backend, Path(model).name)
    else:
        yield LocalModel(Path(model), "eager", model)


class LocalModel:
    """A model of this machine, see `FinishedModel`.

    Args:
        folder: Card and weights, and the graph of another backend than `eager`.
        backend: What answers.
        label: What messages call it.
    """

    def __init__(self, folder: Path, backend: Backend, label: str) -> None:
        self.card = load_card(folder)
        self.folder: Path | None = folder
        self.runtime: Runtime = load_runtime(folder, self.card, backend)
        self.finder = finder_of(folder, self.card)
        gate = find_gate(folder)
        self.gate = Gate(gate) if gate else None
        self.label = label

    def training_films(self) -> TrainingFilms | None:
        """The list beside the weights."""
        assert self.folder  # noqa: S101
        return read_training_films(self.folder, self.card.weights_sha256)

    def answer(self, films: Sequence[Film], console: Console) -> Answers:
        """See `FinishedModel`; films are righted as by a server, and answered though the gate refuse them."""
        refuse_labels(films, self.card.labels, self.label)
        answered, problems = [], []
        logits, t_scores, quality = [], [], []
        for film in track(films, "answering films", console=console, disable=not console.is_terminal):
            try:
                pixels = read(film.path).pixels
                checked = self.gate.righted(pixels) if self.gate else Checked(pixels)
                array = prepare_row(checked.pixels, self.card.preprocess, self.finder, film.side).array
            except (InputError, OSError) as error:
                problems.append(f"{film.file}: {in_words(error)}")
                continue
            prediction = self.runtime.predict(array[None])
            answered.append(film)
            quality.append((checked.reasons, checked.lie.corrections))
            logits.append(prediction.logits[0])
            t_scores.append(prediction.t_score[0])
        table = table_of(self.card.labels, answered, np.array(logits), np.array(t_scores), problems)
        parameters = served_parameters(self.card, answered)
        predictors = answer_as_served(table, parameters, protocol_of(self.card.name, self.card.version))
        return Answers(
            self.card.name, self.card.version, self.card.sha256, table, predictors, parameters, evidence_of(self.card),
            tuple(problems), gate_remarks(answered, quality),
        )  # fmt: skip


def served_parameters(card: Card, films: Sequence[Film]) -> Parameters:
    """The fitted parameters by which users get answers.

    Left out are the fusions whose facts too few of the films have, and, as in answers, the triage of what the model was
    not shown to know.
    """
    facts, evidence = facts_of(films), evidence_of(card)
    fusion = []
    for each in card.fusion:
        if np.all([np.isfinite(facts[name]) for name in each.inputs], axis=0).sum() >= MIN_WITH_FACTS:
            shown = evidence.of(each.inputs)
            points = each.operating_points if shown and shown.beats_chance else None
            fusion.append(each.model_copy(update={"operating_points": points}))
    values = {name: getattr(card, name) for name in Parameters.model_fields} | {"fusion": tuple(fusion)}
    if not evidence.image.beats_chance:
        values["operating_points"] = None
    return Parameters.model_validate(values)


def _unpack(archive: Path, folder: Path) -> Backend:
    """Put card, weights, list of training films and graph of an archive into a folder; returns its backend."""
    try:
        with zipfile.ZipFile(archive) as stored:
            names = set(stored.namelist())
            config = stored.read(_MODEL_CONFIG).decode() if _MODEL_CONFIG in names else ""
            match = _BACKEND.search(config)
            backend: Backend = next((each for each in BACKENDS if match and match[1] == each), "eager")
            for name in {
                CARD_FILE,
                WEIGHTS_FILE,
                FILMS_FILE,
                FINDER_FILE,
                *GATE_FILES,
                FILES.get(backend, CARD_FILE),
            } & names:
                with whole(folder / name) as draft:
                    draft.write_bytes(stored.read(name))
    except FileNotFoundError:
        raise DataError(f"there is no archive {archive}") from None
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(f"{as_text(str(archive))} is no archive of a model: {error}") from error
    checksum = archive.with_name(f"{archive.name}.sha256")
    if checksum.is_file() and checksum.read_text().split()[:1] != [file_sha256(archive)]:
        raise DataError(f"{archive} is not what was built: its sha256 is not that of {checksum.name}")
    return backend
