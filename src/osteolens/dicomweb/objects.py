"""The objects that an answer becomes in a film's study: picture, map, report and page. Importing it loads highdicom.

Each goes into a series of its own. Patient and study come from the film's header; names appear nowhere else, least of
all in the report's text.
"""

import io
from collections.abc import Iterator

import cv2
import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

import osteolens
from osteolens.dicomweb.page import RESEARCH, page_of
from osteolens.dicomweb.report import UNITLESS, in_study, own_code, report
from osteolens.dicomweb.source import MAKER, SERIES, SourceFilm
from osteolens.films import dicom, overlay
from osteolens.schema import Answer, Explanation

MOST_PIXELS = 1600
_PLANE = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""A radiograph states no plane and a map has to. Viewers put a film without one into this one; OHIF lays a map over
its film only where both have the same."""


def objects_of(film: SourceFilm, answer: Answer) -> Iterator[Dataset]:
    """Every object of an answer: per explanation a picture and a map, one report that refers to them, and one page.

    Args:
        film: The film that was answered.
        answer: With any number of explanations.
    """
    pictures = [picture(film, answer, explanation) for explanation in answer.explanations]
    maps = [heat_map(film, answer, explanation) for explanation in answer.explanations]
    for made in (*pictures, *maps, report(film, answer, maps), document(film, answer)):
        for name, value in film.names.items():
            setattr(made, name, value)
        yield made


def kind_of(made: Dataset) -> str:
    """What an object is: picture, map, report or page."""
    return next(kind for kind, number in SERIES.items() if number == made.SeriesNumber)


def encode(made: Dataset) -> bytes:
    """The file of an object (PS3.10)."""
    stream = io.BytesIO()
    with dicom.unchecked():
        made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def picture(film: SourceFilm, answer: Answer, explanation: Explanation) -> Dataset:
    """Secondary capture of the film with its map on top, and `RESEARCH` burnt in.

    It has at most `MOST_PIXELS` along a side, as many as a screen: the film itself is in the same study.
    """
    levels = overlay.decode_map(explanation.map_png)
    smaller = min(1, MOST_PIXELS / max(film.pixels.shape))
    shown = np.asarray(cv2.resize(film.pixels, None, fx=smaller, fy=smaller, interpolation=cv2.INTER_AREA), np.uint8)
    title = f"{overlay.describe(explanation, answer)}\n{RESEARCH}"
    page = overlay.blend(shown, levels, title, strength=explanation.strength)
    made = hd.sc.SCImage.from_ref_dataset(
        film.header,
        np.asarray(page),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=tuple(film.header.get("PatientOrientation") or ("L", "F")),  # as an AP film is hung
        **film.place(answer, "picture", explanation),
    )
    made.Laterality = _laterality(film)
    made.BurnedInAnnotation = "YES"
    made.SeriesDescription = f"{MAKER} {answer.model.name}: film with heat map"
    made.DerivationDescription = f"{RESEARCH}; {explanation.method} of {explanation.target}"
    return made


def heat_map(film: SourceFilm, answer: Answer, explanation: Explanation) -> Dataset:
    """Parametric map: the heat map in the film's own rows and columns, so that a viewer can lay it on top.

    Values are the model's own (`explanation.peak` at the maximum), float32, not scaled to the film's greys.
    """
    height, width = film.pixels.shape
    levels = overlay.decode_map(explanation.map_png).astype(np.float32)
    stretched = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
    values = np.asarray(stretched * (explanation.peak / 255), np.float32)
    quantity = own_code(f"cam-{explanation.method}", f"Class activation map by {explanation.method}")
    highest = max(explanation.peak, 1e-6)
    spacing = film.header.get("PixelSpacing") or film.header.get("ImagerPixelSpacing") or [1.0, 1.0]
    made = hd.pm.ParametricMap(
        [_in_space(film)],
        values,
        **film.place(answer, "map", explanation),
        manufacturer_model_name=answer.model.name,
        software_versions=osteolens.__version__,
        device_serial_number=answer.model.card_sha256[:16],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label=explanation.method[:16],
                lut_explanation=f"{explanation.method} of {explanation.target}"[:64],
                unit=UNITLESS,
                value_range=(0.0, highest),
                slope=1.0,
                intercept=0.0,
                quantity_definition=quantity,
            )
        ],
        voi_lut_transformations=[
            hd.VOILUTTransformation(window_center=highest / 2, window_width=highest, voi_lut_function="LINEAR_EXACT")
        ],
        pixel_measures=hd.PixelMeasuresSequence(pixel_spacing=[float(value) for value in spacing], slice_thickness=1.0),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", _PLANE),
        plane_positions=[hd.PlanePositionSequence("PATIENT", [0.0, 0.0, 0.0])],
        content_label="HEATMAP",
        content_description=f"{explanation.method} of {explanation.target}, {RESEARCH.lower()}"[:64],
    )
    made.SeriesDescription = f"{MAKER} {answer.model.name}: heat map"
    made.Laterality = _laterality(film)
    return made


def document(film: SourceFilm, answer: Answer) -> Dataset:
    """Encapsulated PDF (PS3.3 A.45.1) of one page: film with map, and the answer in words."""
    made = in_study(film, answer, "page", EncapsulatedPDFStorage, "DOC")
    pdf = page_of(film.pixels, answer)
    made.SeriesDescription = made.DocumentTitle = f"{MAKER} {answer.model.name}: page"
    made.ConversionType, made.BurnedInAnnotation = "SD", "YES"
    made.AcquisitionDateTime = None
    made.ConceptNameCodeSequence = []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.SourceInstanceSequence = [hd.ReferencedImageSequence([_in_space(film)])[0]]
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


def _laterality(film: SourceFilm) -> str:
    """L or R as the film's header has it, else empty (PS3.3 C.7.3.1)."""
    side = str(film.header.get("ImageLaterality") or film.header.get("Laterality") or "")
    return side if side in ("L", "R") else ""


def _in_space(film: SourceFilm) -> Dataset:
    """The film's header with the plane that projection radiographs do not state, as parametric maps need one."""
    placed = Dataset()
    placed.update(film.header)
    placed.file_meta = film.header.file_meta
    placed.FrameOfReferenceUID = film.header.get("FrameOfReferenceUID") or f"{film.header.SeriesInstanceUID}.1"[:64]
    placed.PositionReferenceIndicator = ""
    placed.ImagePositionPatient, placed.ImageOrientationPatient = [0.0, 0.0, 0.0], _PLANE
    placed.PixelSpacing = film.header.get("PixelSpacing") or film.header.get("ImagerPixelSpacing") or [1.0, 1.0]
    placed.SliceThickness = 1.0
    return placed
