"""An answer as DICOM objects for a download: under the patient's pseudonym, in a study that is made up for the film.

Importing it loads highdicom. What goes to an archive is made in `films.archiving`, from the archive's copy of the film.
"""

import io
import re
import zipfile

from django.conf import settings
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from films import exporting, pictures, storage
from films.models import Film, Reading
from films.pictures import Grey
from osteolens.dicomweb.answering import make
from osteolens.dicomweb.objects import encode, kind_of
from osteolens.dicomweb.pseudonyms import uid_for
from osteolens.dicomweb.source import open_source
from osteolens.films import dicom, dicom_bare
from osteolens.schema import Answer

KINDS = ("film", "picture", "map", "report", "page")
_EMPTY = ("StudyDate", "StudyTime", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "StudyID")
_BESIDE_NAMES = re.compile(r"[\\^=\x00-\x1f]")
"""Characters that separate values and parts of names (PS3.5 6.2)."""


def objects_of(film: Film, reading: Reading, label: str) -> dict[str, bytes]:
    """Files of an answer's objects by `KINDS`, the film that they refer to among them.

    Args:
        film: The film.
        reading: Its answer.
        label: The class whose map is shown.

    Raises:
        Gone: The film was deleted meanwhile.
        InputError: The film's header has a value that no object can take over.
    """
    source = _source(film)
    made = make(open_source(source), answer_with(reading, label))
    return {"film": source} | {kind_of(one): encode(one) for one in made}


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive of the files; compressed, as maps are large and mostly empty."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind, content in files.items():
            archive.writestr(f"{kind}.dcm", content)
    return stream.getvalue()


def answer_with(reading: Reading, label: str) -> Answer:
    """The answer with the map of one class alone."""
    answer = exporting.full_answer(reading)
    shown = tuple(explanation for explanation in answer.explanations if explanation.target == label)
    return answer.model_copy(update={"explanations": shown})


def _source(film: Film) -> bytes:
    """The film as a DICOM file with the identity that the app knows."""
    origin = getattr(film, "origin", None)
    with dicom.unchecked():
        if film.format == "DICOM":
            made: Dataset = dcmread(io.BytesIO(storage.read(storage.original(film.id))))
            syntax = made.file_meta.TransferSyntaxUID
        else:
            pixels = pictures.read_grey(storage.read(storage.folder(film.id) / storage.DISPLAY))
            made, syntax = _capture(pixels), ExplicitVRLittleEndian
        made.SpecificCharacterSet = "ISO_IR 192"
        made.PatientID = _BESIDE_NAMES.sub("_", film.patient_name) or f"OL-{film.id.hex[:12]}"
        made.PatientName = f"{made.PatientID}^"
        study = origin.study if origin and origin.study else film.id.hex
        made.StudyInstanceUID = uid_for(settings.PSEUDONYM_KEY, f"study {study}")
        made.SeriesInstanceUID = uid_for(settings.PSEUDONYM_KEY, f"series {film.id.hex}")
        made.SOPInstanceUID = uid_for(settings.PSEUDONYM_KEY, f"film {film.id.hex}")
        made.Modality = "OT" if made.SOPClassUID == SecondaryCaptureImageStorage else "CR"
        made.PatientSex = film.sex[:1].upper()
        if film.side:
            made.ImageLaterality = film.side[0].upper()
        if film.view and made.Modality == "CR":
            made.ViewPosition = film.view
        # No date either: together with a pseudonym it may say who it is.
        for keyword in _EMPTY:
            setattr(made, keyword, "")
        return dicom_bare.encode(made, syntax)


def _capture(pixels: Grey) -> Dataset:
    """A secondary capture (PS3.3 A.8.1) of a picture that was no DICOM file; uint8 [H, W]."""
    made = Dataset()
    made.SOPClassUID, made.ConversionType = SecondaryCaptureImageStorage, "WSD"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    content = pixels.tobytes()
    made.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
    return made
