"""The library's words in the language of a page: in English to the letter, in German all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation
from films import terms, wording

from osteolens.card import load_card
from osteolens.evidence import Evidence, Figure, evidence_of
from osteolens.films import dicom_display, gate, read, sense
from osteolens.inference import reader
from osteolens.parameters import OperatingPoint, OperatingPoints
from osteolens.schema import percent

WEIGHTS = Path(__file__).parents[2] / "weights"
CARDS = sorted(path.parent for path in WEIGHTS.glob("*/card.json"))


@pytest.fixture
def german() -> Iterator[None]:
    with translation.override("de"):
        yield


@pytest.mark.parametrize("folder", CARDS, ids=lambda folder: folder.name)
def test_evidence_in_english_is_the_librarys_sentence(folder: Path) -> None:
    evidence = evidence_of(load_card(folder, check_weights=False))
    for each in (evidence.image, *evidence.fused):
        assert terms.evidence(each) == each.sentence


@pytest.mark.usefixtures("german")
def test_evidence_in_german() -> None:
    behind = Evidence(
        inputs=("age", "sex"), film_has_weight=False, question="osteoporosis vs rest",
        auroc=Figure(value=0.712, low=0.6, high=0.804), films=170, groups=151, collection="Knees", age_and_sex=0.7,
        beats_chance=True, beats_age_and_sex=False, sentence="",
    )  # fmt: skip
    assert terms.evidence(behind) == (
        "Grundlage ist Alter und Geschlecht (die Aufnahme trägt nichts dazu bei): Dieses Modell erkennt mehr als der "
        "Zufall, aber nicht nachweislich mehr als Alter und Geschlecht allein: AUROC 0,71 (0,60 bis 0,80; Raten ergibt "
        "0,50; Alter und Geschlecht allein erreichen 0,70) für Osteoporose gegen alle übrigen, an 170 Aufnahmen aus "
        "151 Gruppen (Knees)."
    )


@pytest.mark.parametrize("value", [0, 0.004, 0.005, 0.0051, 0.125, 0.61, 0.994, 0.995, 0.996, 1])
def test_shares_in_english_are_the_librarys(value: float) -> None:
    assert terms.share(value) == percent(value)


@pytest.mark.usefixtures("german")
def test_numbers_in_german() -> None:
    assert [terms.share(value) for value in (0.001, 0.125, 0.999)] == ["unter 1\xa0%", "12\xa0%", "über 99\xa0%"]
    assert terms.number(-1.25, "+.2f") == "-1,25"
    assert wording.who_scale() == "normal ab -1, Osteoporose ab -2,5 und darunter"


SENTENCES = [
    *gate._SAYS.values(),
    "the film lies turned, expected the thigh at the top: turn it by 90 degrees clockwise",
    "the picture has only 50 x 60 pixels, expected at least 112 on its short side",
    "the picture is dark: its brightest part has the level 12 of 255, expected a film as it was made",
    "no knee joint was found; expected a film from the front with one knee or both",
    reader.UNFAMILIAR, sense.INVERTED, dicom_display._NO_VIEW, read._STEP,
]  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
def test_reasons_and_warnings_are_known_in_both_languages(sentence: str) -> None:
    assert terms.sentence(sentence) == sentence
    with translation.override("de"):
        german = terms.sentence(sentence)
    assert german != sentence
    assert not {"the", "is", "of", "expected"} & set(german.split())


@pytest.mark.usefixtures("german")
def test_sentences_in_a_row_are_each_put_into_german() -> None:
    joined = f"the picture is blurred; {sense.INVERTED}; something new"
    assert terms.sentence(joined) == (
        "das Bild ist unscharf; die Aufnahme wirkt invertiert: Knochen ist dunkler als seine Umgebung; invertieren Sie "
        "sie gegebenenfalls; something new"
    )
    assert terms.sentence("the picture is dark: its brightest part has the level 12 of 255") == (
        "das Bild ist dunkel: Sein hellster Teil hat die Stufe 12 von 255"
    )


@pytest.mark.usefixtures("german")
def test_what_leads_in_german() -> None:
    assert terms.headline("osteopenia with age, sex and weight") == "Osteopenie mit Alter, Geschlecht und Gewicht"
    assert terms.headline("no finding") == "keine Aussage"
    assert terms.headline("knee with pins") == "knee with pins"
    assert terms.word("KL 4") == "KL 4"


@pytest.mark.usefixtures("german")
def test_triage_in_german_has_the_cards_figures() -> None:
    points = OperatingPoints(
        label="osteoporosis",
        high_sensitivity=OperatingPoint(threshold=0.2, sensitivity=0.9, specificity=0.4),
        high_specificity=OperatingPoint(threshold=0.7, sensitivity=0.3, specificity=0.95),
    )
    assert wording.triage("refer", points) == (
        "Abklären: Die Wahrscheinlichkeit für Osteoporose beträgt mindestens 70\xa0%. Bei Aufnahmen, die das Modell "
        "nicht kannte (Grundlage: die Aufnahme allein), fielen hierher 30\xa0% derer mit Osteoporose und 5\xa0% derer "
        "ohne."
    )
