"""Objects of an answer: valid, in the film's study, the same each time, with the answer's own numbers."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support.dicom import CR, dataset, knee, save
from support.shown import evidence

from osteolens.dicomweb import objects, page
from osteolens.dicomweb.report import outline_of_peak
from osteolens.dicomweb.source import SourceFilm, open_source
from osteolens.errors import UnreadableImage, UnsupportedType
from osteolens.evidence import AnswerEvidence
from osteolens.films import overlay
from osteolens.quality import Quality, Side, Source
from osteolens.schema import Answer, Explanation, Film, Fused, Knee, ModelInfo, Timing, TScore

STUDY = {
    "PatientName": "Mustermann^Erika", "PatientID": "4711-0815", "StudyInstanceUID": "1.2.3", "AccessionNumber": "A-99",
    "SeriesInstanceUID": "1.2.3.1", "PixelSpacing": [0.2, 0.2], "ImageLaterality": "L", "PatientBirthDate": "19600102",
    "StudyDate": "20260102", "StudyTime": "120000", "StudyID": "7", "PatientSex": "F", "ReferringPhysicianName": "",
}  # fmt: skip
LEVELS = np.tile(np.arange(96, dtype=np.uint8) * 2, (128, 1))
PROBABILITIES = {"normal": 0.2, "osteopenia": 0.5, "osteoporosis": 0.3}


def film(**elements: Any) -> bytes:
    return save(dataset(knee(400, 300), 12, WindowCenter=2048, WindowWidth=4096, **(STUDY | elements)))


def answer(fused: bool = False, card: str = "ab" * 32, shown: AnswerEvidence | None = None) -> Answer:
    maps = [
        Explanation(method="gradcam", target=label, map_png=overlay.encode_map(LEVELS), peak=0.5, strength=0.7)
        for label in ("osteopenia", "osteoporosis")
    ]
    together = Fused(
        inputs=("age", "sex"), label="normal", probabilities={"normal": 0.9, "osteopenia": 0.06, "osteoporosis": 0.04},
        t_score=TScore(estimate=-0.7), triage="low suspicion",
    )  # fmt: skip
    return Answer(
        id="1", label="osteopenia", probabilities=PROBABILITIES,
        t_score=TScore(estimate=-1.83, interval_90=(-3.1, -0.6)),
        triage=None, fused=together if fused else None, quality=Quality(), film=Film(width=300, height=400),
        explanations=tuple(maps), model=ModelInfo(name="knee", version="1.0", card_sha256=card),
        timing_ms=Timing(decode=1, model=1, explain=1), evidence=shown,
    )  # fmt: skip


@pytest.fixture(scope="module")
def source() -> SourceFilm:
    return open_source(film())


@pytest.fixture(scope="module")
def made(source: SourceFilm) -> list[Dataset]:
    return [dcmread(io.BytesIO(objects.encode(one))) for one in objects.objects_of(source, answer(fused=True))]


def test_every_object_is_in_the_films_study_and_each_kind_in_a_series(made: list[Dataset]) -> None:
    names = [one.SOPClassUID.name for one in made]
    assert names == [
        *["Secondary Capture Image Storage"] * 2, *["Parametric Map Storage"] * 2,
        "Comprehensive 3D SR Storage", "Encapsulated PDF Storage",
    ]  # fmt: skip
    for one in made:
        assert (one.StudyInstanceUID, one.PatientID, one.AccessionNumber) == ("1.2.3", "4711-0815", "A-99")
    assert len({one.SOPInstanceUID for one in made}) == 6
    assert len({one.SeriesInstanceUID for one in made} - {"1.2.3.1"}) == 4


def test_the_same_film_and_model_give_the_same_identifiers(source: SourceFilm, made: list[Dataset]) -> None:
    again = [one.SOPInstanceUID for one in objects.objects_of(open_source(film()), answer(fused=True))]
    assert again == [one.SOPInstanceUID for one in made]
    other = [one.SOPInstanceUID for one in objects.objects_of(source, answer(card="cd" * 32))]
    assert not set(other) & set(again)


def test_the_map_has_the_films_rows_and_columns_and_the_models_values(made: list[Dataset]) -> None:
    heat_map = made[2]
    values = np.frombuffer(heat_map.FloatPixelData, np.float32).reshape(heat_map.Rows, heat_map.Columns)
    assert values.shape == (400, 300)
    # The map's last column is 190 of 255 of the peak 0.5, its first 0.
    assert values[200, -1] == pytest.approx(0.5 * 190 / 255, abs=1e-6)
    assert values[200, 0] == 0
    assert values[200, 150] == pytest.approx(0.5 * 95 / 255, abs=0.002)
    mapping = heat_map.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.LUTExplanation == "gradcam of osteopenia"
    plane = heat_map.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert plane.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]  # that in which viewers put a film without a plane
    measures = heat_map.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert list(measures.PixelSpacing) == [0.2, 0.2]


def test_the_report_holds_the_answers_numbers(made: list[Dataset]) -> None:
    report = hd.sr.srread(io.BytesIO(objects.encode(made[4])))
    groups = report.content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == [
        "whole film", "gradcam of osteopenia", "gradcam of osteoporosis"
    ]  # fmt: skip
    values = [{m.name.meaning: float(m.value) for m in group.get_measurements()} for group in groups]
    assert values[0] == {
        "Probability of normal": 0.2, "Probability of osteopenia": 0.5, "Probability of osteoporosis": 0.3,
        "Estimated T-score": -1.83,
        "T-score, lower end of 90 % conformal interval": -3.1, "T-score, upper end of 90 % conformal interval": -0.6,
        "Probability of normal, with facts": 0.9, "Probability of osteopenia, with facts": 0.06,
        "Probability of osteoporosis, with facts": 0.04, "Estimated T-score, with facts": -0.7,
    }  # fmt: skip
    assert values[1] == {"Maximum of the heat map": 0.5}
    evaluations = {e.name.meaning: e.value.meaning for e in groups[0].get_qualitative_evaluations()}
    assert evaluations == {
        "Most likely label, output of the model": "Osteopenia", "Triage zone": "Triage: none",
        "Most likely label, output of the model, with facts": "Normal",
        "Triage zone, with facts": "Triage: low suspicion", "Facts used beside the film": "age and sex",
        "Intended use": "Research use only, not for diagnosis", "Algorithm Family": "Artificial Intelligence",
        "Answer": "No finding: not shown to tell more than chance",
    }  # fmt: skip
    assert len({m.name.value for group in groups for m in group.get_measurements()}) == 11
    evidence = [
        item.ReferencedSOPInstanceUID
        for sequence in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in made[4].get(sequence, [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert set(evidence) == {"1.2.3.4", made[2].SOPInstanceUID, made[3].SOPInstanceUID}


def knee_of(box: tuple[int, int, int, int], side: Side | None, label: str | None = None, maps: Any = ()) -> Knee:
    return Knee(
        box=box, joint=(float(box[0] + 50), 200.0), plateau_width=80.0, turn=0.0, regions={}, side=side,
        side_from="position" if side else None, label=label, probabilities=PROBABILITIES if label else None,
        explanations=maps,
    )  # fmt: skip


def each_knee() -> Answer:
    """The answer of a model that reads each knee, of which the left one is the worse."""
    plain = answer()
    right = knee_of((0, 100, 100, 200), "right", "normal")
    return plain.model_copy(
        update={"knees": (right, knee_of((150, 100, 250, 200), "left", "osteopenia", plain.explanations))}
    )


def sites(given: Answer, source: SourceFilm) -> dict[str, str | None]:
    """Laterality of each group of measurements, by its name."""
    made = objects.objects_of(source, given)
    report = next(one for one in made if one.Modality == "SR")
    groups = hd.sr.srread(io.BytesIO(objects.encode(report))).content.get_planar_roi_measurement_groups()
    found = {}
    for group in groups:
        (site,) = group.finding_sites
        found[group.tracking_identifier] = site.laterality.meaning if site.laterality else None
    return found


def test_each_group_says_which_side_it_is_of(source: SourceFilm) -> None:
    maps = ("gradcam of osteopenia", "gradcam of osteoporosis")
    plain = answer()
    assert set(sites(plain, source).values()) == {None}
    header = plain.model_copy(update={"quality": Quality(source=Source(side="left"))})
    assert set(sites(header, source).values()) == {"Left"}
    right, left = knee_of((0, 100, 100, 200), "right"), knee_of((150, 100, 250, 200), "left")
    assert set(sites(plain.model_copy(update={"knees": (right,)}), source).values()) == {"Right"}
    assert set(sites(plain.model_copy(update={"knees": (right, left)}), source).values()) == {"Right and left"}
    unknown = (knee_of((0, 100, 100, 200), None), left)
    assert set(sites(plain.model_copy(update={"knees": unknown}), source).values()) == {None}
    # A model of single knees: a group for each, and the maps are those of the worse one.
    each = each_knee()
    assert sites(each, source) == {
        "whole film": "Right and left", "right knee": "Right", "left knee": "Left", **dict.fromkeys(maps, "Left")
    }  # fmt: skip
    (report,) = [one for one in objects.objects_of(source, each) if one.Modality == "SR"]
    groups = hd.sr.srread(io.BytesIO(objects.encode(report))).content.get_planar_roi_measurement_groups()
    assert groups[1].roi.value.tolist() == [[0, 100], [100, 100], [100, 200], [0, 200], [0, 100]]
    terms = {term.name.meaning: term.value.meaning for term in groups[1].get_qualitative_evaluations()}
    assert terms["Most likely label, output of the model"] == "Normal"  # nothing is shown, so that nothing leads
    text = page.lines(each)
    assert "On the film: right knee and left knee." in text
    assert "Output of the model, left knee: normal 20%, osteopenia 50%, osteoporosis 30%." in text


@pytest.mark.parametrize(
    ("low", "fused", "leading"),
    [
        (0.4, None, ("Answer", "No finding: not shown to tell more than chance", "Probability of normal")),
        (0.4, 0.6, ("Answer, with facts", "Normal", "Probability of normal, with facts")),
        (0.6, 0.6, ("Answer", "Osteopenia", "Probability of normal")),
    ],
)
def test_the_report_and_the_page_lead_with_what_the_model_was_shown_to_know(
    low: float, fused: float | None, leading: tuple[str, str, str], source: SourceFilm
) -> None:
    told = answer(fused=fused is not None, shown=evidence(low, fused=fused))
    report = hd.sr.srread(io.BytesIO(objects.encode(objects.report(source, told, []))))
    group = report.content.get_planar_roi_measurement_groups()[0]
    values = {each.name.meaning: each.value.meaning for each in group.get_qualitative_evaluations()}
    name, value, first_number = leading
    assert {key: text for key, text in values.items() if key.startswith("Answer")} == {name: value}
    assert ("Most likely label, output of the model" in values) == (value != "Osteopenia")
    assert group.get_measurements()[0].name.meaning == first_number
    first, second, *others = page.lines(told)
    assert first == f"{told.lead.text[0].upper()}{told.lead.text[1:]}."
    assert second == told.lead.sentence
    assert others[0].startswith("Output of the model, film alone" if low < 0.5 and fused is None else "Answer, ")


def test_every_group_of_the_report_has_a_place_in_the_film(made: list[Dataset]) -> None:
    """OHIF leaves the viewport of a report blank whose first group has none."""
    report = hd.sr.srread(io.BytesIO(objects.encode(made[4])))
    regions = [group.roi for group in report.content.get_planar_roi_measurement_groups()]
    assert regions[0].value.tolist() == [[0, 0], [300, 0], [300, 400], [0, 400], [0, 0]]
    for region in regions[1:]:
        # LEVELS is 2 x at column x of 96: 128 and more from column 64 on, which is at 200 of the film's 300 columns.
        low, high = region.value.min(axis=0), region.value.max(axis=0)
        assert low == pytest.approx([200, 0], abs=2)
        assert high == pytest.approx([300, 400], abs=2)
        assert np.array_equal(region.value[0], region.value[-1])
    for region in regions:
        image = region.ContentSequence[0].ReferencedSOPSequence[0]
        assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (CR, "1.2.3.4")


def test_the_outline_of_a_map() -> None:
    levels = np.zeros((50, 100), np.uint8)
    assert outline_of_peak(levels) is None
    levels[10:12, 20:22] = 200
    levels[20:30, 40:60] = 255
    outline = outline_of_peak(levels)
    assert outline is not None
    assert outline.min(axis=0) == pytest.approx([0.4, 0.4], abs=0.01)
    assert outline.max(axis=0) == pytest.approx([0.6, 0.6], abs=0.01)
    levels[:] = 0
    levels[49, 99] = 255
    corner = outline_of_peak(levels)
    assert corner is not None
    assert len(corner) >= 4
    assert 0.96 < corner.min() < corner.max() <= 1


def test_names_stand_in_the_patient_module_only(made: list[Dataset]) -> None:
    for one in made:
        for element in one.iterall():
            if element.VR not in ("SQ", "OB", "OW", "OF") and element.keyword not in STUDY:
                assert "Mustermann" not in str(element.value)
                assert "4711" not in str(element.value)
    assert b"Mustermann" not in made[5].EncapsulatedDocument


def test_research_use_is_burnt_into_the_picture(made: list[Dataset]) -> None:
    assert made[0].BurnedInAnnotation == "YES"
    assert (made[0].Rows, made[0].Columns) > (400, 300)  # title and colour bar beside the film
    assert made[5].EncapsulatedDocument.startswith(b"%PDF")


@pytest.mark.parametrize("tool", ["dciodvfy", "dsrdump"])
def test_other_peoples_checkers_find_nothing_wrong(
    tool: str, made: list[Dataset], source: SourceFilm, tmp_path: Path
) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: apt-get install dicom3tools dcmtk")
    reports = [one for one in objects.objects_of(source, each_knee()) if one.Modality == "SR"]
    for number, one in enumerate([*made, *reports]):
        if tool == "dsrdump" and "SR" not in one.SOPClassUID.name:
            continue
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(objects.encode(one))
        checked = subprocess.run([tool, path], capture_output=True, text=True, check=tool == "dsrdump")
        assert "Error" not in checked.stdout + checked.stderr


def test_what_belongs_to_no_study_is_refused() -> None:
    with pytest.raises(UnsupportedType, match="belongs to no patient and no study"):
        open_source(overlay.encode_png(np.tile(np.arange(100, dtype=np.uint8), (80, 1))))
    with pytest.raises(UnreadableImage, match="no StudyInstanceUID"):
        open_source(film(StudyInstanceUID=""))


def test_a_film_without_patient_and_orientation_gets_empty_ones() -> None:
    bare = dataset(knee(100, 90), 12, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1")
    made = list(objects.objects_of(open_source(save(bare)), answer()))
    assert {one.PatientID for one in made} == {""}
    assert len(made) == 6


def test_no_warning_repeats_a_name(recwarn: pytest.WarningsRecorder) -> None:
    content = film(ReferringPhysicianName="Hausarzt", PatientName="Mustermann")
    recwarn.clear()
    made = list(objects.objects_of(open_source(content), answer()))
    assert {(str(one.PatientName), str(one.ReferringPhysicianName)) for one in made} == {("Mustermann", "Hausarzt")}
    assert not [str(warning.message) for warning in recwarn]
