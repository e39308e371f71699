"""The structured report of an answer (PS3.16 TID 1500). Importing it loads highdicom.

Every group of measurements is a planar region of interest (TID 1410): viewers such as OHIF show nothing of a group that
has no place in an image. What the model computes from the whole film has the film's outline as its region.
"""

import logging
from collections.abc import Iterator

import cv2
import highdicom as hd
import numpy as np
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian

from osteolens.dicomweb.page import RESEARCH, knee_name
from osteolens.dicomweb.source import MAKER, SourceFilm
from osteolens.films import overlay
from osteolens.parameters import fact_words
from osteolens.quality import Side
from osteolens.schema import Answer, Fused, Knee

UNITLESS = Code("1", "UCUM", "no units")
_SCHEME = "99OSTEOLENS"
"""A private coding scheme (PS3.16 8.2) for what SNOMED CT, LOINC and DCM have no code for."""
_STANDARD_DEVIATIONS = Code("{T-score}", "UCUM", "T-score")
_KNEE = Code("72696002", "SCT", "Knee")
_SIDES: dict[Side, Code] = {"left": codes.SCT.Left, "right": codes.SCT.Right}
_BOTH = Code("51440002", "SCT", "Right and left")
_FINDINGS = {
    "normal": Code("17621005", "SCT", "Normal"),
    "osteopenia": Code("312894000", "SCT", "Osteopenia"),
    "osteoporosis": Code("64859006", "SCT", "Osteoporosis"),
}
logging.getLogger("highdicom").setLevel(logging.WARNING)  # below it names films by their identifiers
_HALF, _FINER = 128, 4
_TOLERANCE = 1.0


def report(film: SourceFilm, answer: Answer, maps: list[Dataset]) -> Dataset:
    """Structured report: the answer's label, probabilities and T-score, and where each heat map is high.

    Args:
        film: The film that was answered.
        answer: With any number of explanations.
        maps: Parametric maps of the explanations, which the report refers to.
    """
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=film.uid(answer, "device"), name=MAKER, manufacturer_name=MAKER, model_name=answer.model.name
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("37894004", "SCT", "Radiography of knee"),
        imaging_measurements=list(_groups(film, answer)),
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = in_study(film, answer, "report", Comprehensive3DSRStorage, "SR")
    made.update(content[0])  # what highdicom's own class adds to this takes three quarters of its time
    made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "FINAL"
    made.PerformedProcedureCodeSequence, made.ReferencedPerformedProcedureStepSequence = [], []
    made.CurrentRequestedProcedureEvidenceSequence = [_evidence([film.header, *maps])]
    made.SeriesDescription = f"{MAKER} {answer.model.name}: report"
    return made


def in_study(film: SourceFilm, answer: Answer, kind: str, sop_class: UID, modality: str) -> hd.SOPClass:
    """An object without content in the film's study, in the series of its kind."""
    return hd.SOPClass(
        study_instance_uid=film.header.StudyInstanceUID,
        sop_class_uid=sop_class,
        modality=modality,
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
        **film.place(answer, kind),
    )


def own_code(value: str, meaning: str) -> CodedConcept:
    """A private code; values have at most 16 characters, meanings 64 (PS3.3 8.1, 8.3)."""
    plain = value.encode("ascii", "replace").decode().replace(" ", "-")
    return CodedConcept(value=plain[:16], scheme_designator=_SCHEME, meaning=meaning[:64])


def outline_of_peak(levels: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Outline of the largest part of a map that is at least half as high as its maximum; None for an empty map.

    Args:
        levels: uint8 [h, w], 255 at the maximum.

    Returns:
        float64 [n, 2], columns and rows as shares of the map's width and height, the first point again at the end.
    """
    fine = cv2.resize(levels, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((fine >= _HALF).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = cv2.approxPolyDP(max(contours, key=cv2.contourArea), _TOLERANCE, closed=True)[:, 0]
    height, width = fine.shape
    closed = np.concatenate([largest, largest[:1]])
    return (closed.astype(np.float64) + 0.5) / np.array([width, height], np.float64)


def _evidence(objects: list[Dataset]) -> Dataset:
    """References to objects of one study (PS3.3 C.17.2.3), by series."""
    series: dict[str, Dataset] = {}
    for one in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        if one.SeriesInstanceUID not in series:
            series[one.SeriesInstanceUID] = Dataset()
            series[one.SeriesInstanceUID].SeriesInstanceUID = one.SeriesInstanceUID
            series[one.SeriesInstanceUID].ReferencedSOPSequence = []
        series[one.SeriesInstanceUID].ReferencedSOPSequence.append(item)
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = objects[0].StudyInstanceUID, list(series.values())
    return study


def _groups(film: SourceFilm, answer: Answer) -> Iterator[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    algorithm = hd.sr.AlgorithmIdentification(
        name=f"{MAKER} {answer.model.name}",
        version=answer.model.version,
        parameters=[f"card sha256 {answer.model.card_sha256}"],
        family=codes.DCM.ArtificialIntelligence,
    )

    def group(
        title: str, outline: NDArray[np.float64], finding: Code | CodedConcept,
        measurements: list[hd.sr.Measurement], evaluations: list[hd.sr.QualitativeEvaluation], side: Code | None,
    ) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:  # fmt: skip
        height, width = film.pixels.shape
        image = hd.sr.SourceImageForRegion(film.header.SOPClassUID, film.header.SOPInstanceUID)
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(uid=film.uid(answer, title), identifier=title),
            referenced_region=hd.sr.ImageRegion("POLYLINE", outline * (width, height), image),
            finding_type=finding,
            finding_sites=[hd.sr.FindingSite(_KNEE, laterality=side)],
            algorithm_id=algorithm,
            measurements=measurements,
            qualitative_evaluations=evaluations,
        )

    # One group for both parts, told apart by their names: OHIF writes those of two groups on top of each other.
    whole, side = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], np.float64), _side(answer)
    measurements = [one for part in answer.parts for one in _measurements(part.answer)]
    finding = Code("404684003", "SCT", "Clinical finding")
    yield group("whole film", whole, finding, measurements, list(_evaluations(answer)), side)
    for number, knee in enumerate(answer.knees, 1):
        if knee.label:
            left, top, right, bottom = knee.box
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)
            place = corners / (answer.film.width, answer.film.height)
            terms = list(_evaluation(knee, leads=answer.lead.part == "image"))
            own = _SIDES[knee.side] if knee.side else None
            yield group(knee_name(knee, number), place, finding, list(_measurements(knee)), terms, own)
            if knee.explanations == answer.explanations:
                side = own  # the maps of a film of both are those of its worse knee
    for explanation in answer.explanations:
        outline = outline_of_peak(overlay.decode_map(explanation.map_png))
        if outline is not None:
            peak = hd.sr.Measurement(own_code("peak", "Maximum of the heat map"), round(explanation.peak, 4), UNITLESS)
            high = own_code("half-peak", "Heat map above half of its maximum")
            yield group(f"{explanation.method} of {explanation.target}", outline, high, [peak], [], side)


def _side(answer: Answer) -> Code | None:
    """Side of the knee or knees on the film; None where it is not known."""
    known = {knee.side for knee in answer.knees}
    if not known and answer.quality.source:
        known = {answer.quality.source.side}
    if None in known or not known:
        return None
    return _BOTH if len(known) == 2 else _SIDES[next(side for side in known if side)]


def _measurements(part: Answer | Fused | Knee) -> Iterator[hd.sr.Measurement]:
    def measurement(value: str, meaning: str, number: float, unit: Code) -> hd.sr.Measurement:
        return hd.sr.Measurement(_name(part, value, meaning), number, unit)

    for label, probability in (part.probabilities or {}).items():
        yield measurement(f"p-{label}", f"Probability of {label}", round(probability, 4), UNITLESS)
    if part.t_score is None:
        return
    yield measurement("t-score", "Estimated T-score", round(part.t_score.estimate, 2), _STANDARD_DEVIATIONS)
    if part.t_score.interval_90:
        for end, value in zip(("lower", "upper"), part.t_score.interval_90, strict=True):
            meaning = f"T-score, {end} end of 90 % conformal interval"
            yield measurement(f"t-{end}-90", meaning, round(value, 2), _STANDARD_DEVIATIONS)


def _evaluations(answer: Answer) -> Iterator[hd.sr.QualitativeEvaluation]:
    """The answer, or that there is none; what does not lead is named as the model's output."""
    if answer.lead.part == "none":
        finding = own_code("no-finding", "No finding: not shown to tell more than chance")
        yield hd.sr.QualitativeEvaluation(own_code("answer", "Answer"), finding)
    for part in answer.parts:
        yield from _evaluation(part.answer, leads=part.leads)
    if answer.fused is not None:
        facts = own_code("-".join(answer.fused.inputs), fact_words(answer.fused.inputs))
        yield hd.sr.QualitativeEvaluation(own_code("facts", "Facts used beside the film"), facts)
    yield hd.sr.QualitativeEvaluation(own_code("use", "Intended use"), own_code("research", RESEARCH.capitalize()))


def _evaluation(part: Answer | Fused | Knee, *, leads: bool) -> Iterator[hd.sr.QualitativeEvaluation]:
    """Label and triage zone of a part of the answer, or of a knee."""
    label = _FINDINGS.get(part.label or "") or own_code(f"label-{part.label}", f"{part.label}")
    name = ("answer", "Answer") if leads else ("label", "Most likely label, output of the model")
    yield hd.sr.QualitativeEvaluation(_name(part, *name), label)
    zone = part.triage or "none"
    yield hd.sr.QualitativeEvaluation(
        _name(part, "triage", "Triage zone"), own_code(f"triage-{zone}", f"Triage: {zone}")
    )


def _name(part: Answer | Fused | Knee, value: str, meaning: str) -> CodedConcept:
    """The name of a number or term, which says so where it comes from the film together with the patient's facts."""
    return own_code(f"f{value}", f"{meaning}, with facts") if isinstance(part, Fused) else own_code(value, meaning)
