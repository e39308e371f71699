"""The models that actors answer with: found on the driver, sent to every machine, unpacked there."""

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osteolens.card import CARD_FILE, FINDER_FILE, WEIGHTS_FILE, Card, load_card
from osteolens.errors import BatchError, CardError
from osteolens.films.gate import GATE_FILES, find_gate
from osteolens.films.joints import finder_beside
from osteolens.inference.familiarity import FAMILIARITY_FILE
from osteolens.inference.runtimes.loading import FILES, Backend, load_runtime, preferred_backend
from osteolens.serving.model_store import verify_archives

if TYPE_CHECKING:
    from osteolens.inference.reader import Reader


@dataclass(frozen=True)
class Model:
    """All that is needed to answer with a model on a machine that has none of its files.

    Attributes:
        name: Name under which it is called.
        card: Its card.
        backend: Which graph it is.
        files: Card, weights, the graph, and what looks at films before them: file name to content.
    """

    name: str
    card: Card
    backend: Backend
    files: dict[str, bytes]

    def load(self, folder: Path) -> "Reader":
        """Unpack into an empty folder, and load with one computing thread.

        Raises:
            CardError, ExportError: Card, weights and graph do not belong together.
        """
        from osteolens.inference.reader import Reader

        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return Reader(folder, load_runtime(folder, self.card, self.backend, threads=1))


def find_model(name: str, *, store: Path, weights: Path, exports: Path) -> Model:
    """A model's archive, or else its model folder and its exported graph.

    Args:
        name: The model's name, as it is served.
        store: Folder with the archive `NAME.mar` and its checksum.
        weights: Folder with the model folder `NAME`.
        exports: Folder with the exports' folder `NAME`.

    Raises:
        BatchError: There is neither.
        ServerError: An archive is not what was built.
        CardError, ExportError: Card, weights and graph do not belong together.
    """
    archive = store / f"{name}.mar"
    if archive.is_file():
        verify_archives(store)
        with zipfile.ZipFile(archive) as stored:
            card = Card.model_validate_json(stored.read(CARD_FILE))
            backend = _backend(card, set(stored.namelist()), archive)
            further = {FINDER_FILE, *GATE_FILES, FAMILIARITY_FILE} & set(stored.namelist())
            files = {file: stored.read(file) for file in (CARD_FILE, WEIGHTS_FILE, FILES[backend], *further)}
    else:
        card, backend, files = _from_folders(name, archive, weights / name, exports / name)
    model = Model(name, card, backend, files)
    with tempfile.TemporaryDirectory(prefix="osteolens-") as folder:
        model.load(Path(folder))  # what does not fit together is told here and not by every actor
    return model


def _from_folders(name: str, archive: Path, folder: Path, exports: Path) -> tuple[Card, Backend, dict[str, bytes]]:
    try:
        card = load_card(folder)
    except CardError as error:
        raise BatchError(
            f"there is no model {name}: neither {archive} (make archives) nor a model folder ({error})"
        ) from error
    backend = _backend(card, {path.name for path in exports.glob("*")}, exports)
    places = {CARD_FILE: folder, WEIGHTS_FILE: folder, FILES[backend]: exports}
    places |= {FAMILIARITY_FILE: folder} if (folder / FAMILIARITY_FILE).is_file() else {}
    gate, finder = find_gate(folder), finder_beside(folder)
    places |= dict.fromkeys(GATE_FILES, gate) if gate else {}
    paths = {file: place / file for file, place in places.items()}
    paths |= {FINDER_FILE: finder} if finder else {}
    return card, backend, {file: path.read_bytes() for file, path in paths.items()}


def _backend(card: Card, files: set[str], place: Path) -> Backend:
    """The graph that archives choose."""
    backend = preferred_backend(card)
    if FILES[backend] not in files:
        raise BatchError(f"{place} holds no {FILES[backend]}; export it: osteolens export weights/{card.name}")
    return backend
