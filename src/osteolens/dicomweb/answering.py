"""From the bytes of a DICOM film to the objects that its answer becomes."""

from collections.abc import Callable

from pydicom.dataset import Dataset

from osteolens.dicomweb.objects import objects_of
from osteolens.dicomweb.source import SourceFilm, open_source
from osteolens.errors import UnreadableImage
from osteolens.films import dicom
from osteolens.schema import Answer

Ask = Callable[[bytes], Answer]
"""Answers the bytes of a film."""


def objects_for(data: bytes, ask: Ask) -> list[Dataset]:
    """Answer a film, and make every object of the answer.

    Args:
        data: A DICOM file.
        ask: Answers it; called once the header has what objects need.

    Raises:
        InputError: It is no DICOM film, cannot be read, or its header does not fit the standard.
        ClientError: From `ask`.
    """
    film = open_source(data)
    return make(film, ask(data))


def make(film: SourceFilm, answer: Answer) -> list[Dataset]:
    """Every object of an answer.

    Raises:
        UnreadableImage: An element of the header cannot be taken over.
    """
    with dicom.unchecked():
        try:
            return list(objects_of(film, answer))
        except dicom.FAULTS as error:
            raise UnreadableImage(
                f"the DICOM header has a value that no other object can take over ({type(error).__name__})",
                "send the film as the archive keeps it",
            ) from error
