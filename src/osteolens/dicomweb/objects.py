"""The objects that an answer becomes in a film's study: picture, map, report and page. Importing it loads highdicom.

Each goes into a series of its own. Patient and study come from the film's header; names appear nowhere else, least of
all in the report's text.
"""

import io
from collections.abc import Iterator
from typing import Any

import cv2
import highdicom as hd
import numpy as np
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

import osteolens
from osteolens.dicomweb.page import RESEARCH, page_of
from osteolens.dicomweb.source import SourceFilm
from osteolens.films import dicom, overlay
from osteolens.schema import Answer, Explanation, Fused, Lead, Part

MAKER = "OsteoLens"
_SCHEME = "99OSTEOLENS"
"""A private coding scheme (PS3.16 8.2) for what SNOMED CT, LOINC and DCM have no code for."""
_SERIES = {"picture": 9101, "map": 9102, "report": 9103, "page": 9104}
_UNITLESS = Code("1", "UCUM", "no units")
_STANDARD_DEVIATIONS = Code("{T-score}", "UCUM", "T-score")
_PLANE = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""A radiograph states no plane and a map has to. Viewers put a film without one into this one; OHIF lays a map over
its film only where both have the same."""
_FINDINGS = {
    "normal": Code("17621005", "SCT", "Normal"),
    "osteopenia": Code("312894000", "SCT", "Osteopenia"),
    "osteoporosis": Code("64859006", "SCT", "Osteoporosis"),
}


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
    return next(kind for kind, number in _SERIES.items() if number == made.SeriesNumber)


def encode(made: Dataset) -> bytes:
    """The file of an object (PS3.10)."""
    stream = io.BytesIO()
    with dicom.unchecked():
        made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def picture(film: SourceFilm, answer: Answer, explanation: Explanation) -> Dataset:
    """Secondary capture of the film with its map on top, and `RESEARCH` burnt in."""
    levels = overlay.decode_map(explanation.map_png)
    title = f"{overlay.describe(explanation, answer)}\n{RESEARCH}"
    page = overlay.blend(film.pixels, levels, title, strength=explanation.strength).convert("RGB")
    made = hd.sc.SCImage.from_ref_dataset(
        film.header,
        np.asarray(page),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=tuple(film.header.get("PatientOrientation") or ("L", "F")),  # as an AP film is hung
        **_series(film, answer, "picture", explanation),
    )
    made.Laterality = _laterality(film)
    made.BurnedInAnnotation = "YES"
    made.SeriesDescription = f"OsteoLens {answer.model.name}: film with heat map"
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
    quantity = _own(f"cam-{explanation.method}", f"Class activation map by {explanation.method}")
    highest = max(explanation.peak, 1e-6)
    spacing = film.header.get("PixelSpacing") or film.header.get("ImagerPixelSpacing") or [1.0, 1.0]
    made = hd.pm.ParametricMap(
        [_in_space(film)],
        values,
        **_series(film, answer, "map", explanation),
        manufacturer_model_name=answer.model.name,
        software_versions=osteolens.__version__,
        device_serial_number=answer.model.card_sha256[:16],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label=explanation.method[:16],
                lut_explanation=f"{explanation.method} of {explanation.target}"[:64],
                unit=_UNITLESS,
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
    made.SeriesDescription = f"OsteoLens {answer.model.name}: heat map"
    made.Laterality = _laterality(film)
    return made


def report(film: SourceFilm, answer: Answer, maps: list[Dataset]) -> Dataset:
    """Structured report by TID 1500: the answer's label, probabilities and T-score, with what they came from."""
    algorithm = hd.sr.AlgorithmIdentification(
        name=f"{MAKER} {answer.model.name}",
        version=answer.model.version,
        parameters=[f"card sha256 {answer.model.card_sha256}"],
        family=codes.DCM.ArtificialIntelligence,
    )
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=film.uid(answer, "device"), name=MAKER, manufacturer_name=MAKER, model_name=answer.model.name
        ),
    )
    groups = [
        hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(uid=film.uid(answer, part.source), identifier=part.source),
            finding_type=Code("404684003", "SCT", "Clinical finding"),
            finding_sites=[hd.sr.FindingSite(Code("72696002", "SCT", "Knee"))],
            algorithm_id=algorithm,
            measurements=list(_measurements(part.answer)),
            qualitative_evaluations=list(_evaluations(answer.lead, part)),
            source_images=[hd.sr.SourceImageForMeasurementGroup(film.header.SOPClassUID, film.header.SOPInstanceUID)],
        )
        for part in answer.parts
    ]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("37894004", "SCT", "Radiography of knee"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = hd.sr.Comprehensive3DSR(
        evidence=[film.header, *maps],
        content=content[0],
        **_series(film, answer, "report", None),
        is_complete=True,
    )
    made.SeriesDescription = f"OsteoLens {answer.model.name}: report"
    return made


def document(film: SourceFilm, answer: Answer) -> Dataset:
    """Encapsulated PDF (PS3.3 A.45.1) of one page: film with map, and the answer in words."""
    made = hd.SOPClass(
        study_instance_uid=film.header.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=film.header.PatientID,
        patient_name=film.header.PatientName,
        patient_birth_date=film.header.PatientBirthDate,
        patient_sex=film.header.PatientSex,
        accession_number=film.header.AccessionNumber,
        study_id=film.header.StudyID,
        study_date=film.header.StudyDate,
        study_time=film.header.StudyTime,
        referring_physician_name=film.header.ReferringPhysicianName,
        specific_character_set=film.header.get("SpecificCharacterSet"),
        **_series(film, answer, "page", None),
    )
    pdf = page_of(film.pixels, answer)
    made.SeriesDescription = made.DocumentTitle = f"OsteoLens {answer.model.name}: page"
    made.ConversionType, made.BurnedInAnnotation = "SD", "YES"
    made.AcquisitionDateTime = None
    made.ConceptNameCodeSequence = []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.SourceInstanceSequence = [hd.ReferencedImageSequence([_in_space(film)])[0]]
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


def _series(film: SourceFilm, answer: Answer, kind: str, explanation: Explanation | None) -> dict[str, Any]:
    """Where an object goes, and its stable identifiers."""
    part = kind if explanation is None else f"{kind} {explanation.method} {explanation.target}"
    number = 1 if explanation is None else 1 + answer.explanations.index(explanation)
    return {
        "series_instance_uid": film.uid(answer, f"series of {kind}"),
        "series_number": _SERIES[kind],
        "sop_instance_uid": film.uid(answer, part),
        "instance_number": number,
        "manufacturer": MAKER,
    }


def _measurements(answer: Answer | Fused) -> Iterator[hd.sr.Measurement]:
    for label, probability in answer.probabilities.items():
        yield hd.sr.Measurement(_own(f"p-{label}", f"Probability of {label}"), round(probability, 4), _UNITLESS)
    if answer.t_score is None:
        return
    name = _own("t-score", "T-score estimated from the film")
    yield hd.sr.Measurement(name, round(answer.t_score.estimate, 2), _STANDARD_DEVIATIONS)
    if answer.t_score.interval_90:
        for end, value in zip(("lower", "upper"), answer.t_score.interval_90, strict=True):
            meaning = f"T-score, {end} end of the 90 % conformal interval"
            yield hd.sr.Measurement(_own(f"t-{end}-90", meaning), round(value, 2), _STANDARD_DEVIATIONS)


def _evaluations(lead: Lead, part: Part) -> Iterator[hd.sr.QualitativeEvaluation]:
    label = _FINDINGS.get(part.answer.label) or _own(f"label-{part.answer.label}", part.answer.label)
    if part.leads:
        yield hd.sr.QualitativeEvaluation(_own("answer", "Answer"), label)
    else:
        if lead.part == "none":
            finding = _own("no-finding", "No finding: not shown to tell more than chance")
            yield hd.sr.QualitativeEvaluation(_own("answer", "Answer"), finding)
        yield hd.sr.QualitativeEvaluation(_own("label", "Most likely label, output of the model"), label)
    zone = part.answer.triage or "none"
    yield hd.sr.QualitativeEvaluation(_own("triage", "Triage zone"), _own(f"triage-{zone}"[:16], f"Triage: {zone}"))
    yield hd.sr.QualitativeEvaluation(_own("use", "Intended use"), _own("research", RESEARCH.capitalize()))


def _laterality(film: SourceFilm) -> str:
    """L or R as the film's header has it, else empty (PS3.3 C.7.3.1)."""
    side = str(film.header.get("ImageLaterality") or film.header.get("Laterality") or "")
    return side if side in ("L", "R") else ""


def _own(value: str, meaning: str) -> CodedConcept:
    """A private code; values have at most 16 characters, meanings 64 (PS3.3 8.1, 8.3)."""
    plain = value.encode("ascii", "replace").decode().replace(" ", "-")
    return CodedConcept(value=plain[:16], scheme_designator=_SCHEME, meaning=meaning[:64])


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
