"""Films of one patient belong together, by side and date, under a pseudonym."""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest
from accounts.models import User
from django.conf import settings
from django.test import Client
from films import patients
from films.models import Film, Origin, Patient
from refusals import check_refusals
from support.dicom import dataset, knee, save
from web_films import film_bytes, let_deletions_pass

from osteolens.dicomweb.pseudonyms import pseudonym

Send = Callable[..., Any]


def dicom(seed: int = 0, **elements: Any) -> bytes:
    pixels = knee()
    pixels[0, 0] = seed
    identifiers = {"StudyInstanceUID": "1.2.3.7", "SOPInstanceUID": f"1.2.3.7.{seed}", "PatientID": "4711-0815"}
    return save(dataset(pixels, 12, **(identifiers | elements)))


def sent(send: Send, content: bytes, name: str = "knee.dcm", **facts: str) -> Film:
    response = send(content, name, **facts)
    assert response.status_code == 201, response.content
    return Film.objects.select_related("patient").get(pk=response.json()["id"])


def test_a_header_s_number_groups_films_and_is_kept_as_a_keyed_hash_alone(send: Send, stranger: Client) -> None:
    left = sent(send, dicom(1, ImageLaterality="L", StudyDate="20240229", AcquisitionDate="20240301"))
    right = sent(send, dicom(2, ImageLaterality="R", StudyDate="2024.02.29"))
    other = sent(send, dicom(3, PatientID="4711-0816"))
    assert left.patient == right.patient != other.patient
    assert left.patient.code == pseudonym(settings.PSEUDONYM_KEY, "4711-0815")
    assert left.patient.name == left.patient.code[:8]
    assert (left.side, left.taken_on) == ("left", date(2024, 3, 1))
    assert (right.side, right.taken_on) == ("right", date(2024, 2, 29))
    origins = {origin.film_id: origin for origin in Origin.objects.all()}
    assert origins[left.pk].study == origins[right.pk].study
    assert origins[left.pk].instance != origins[right.pk].instance
    assert origins[left.pk].study_day == date(2024, 2, 29)
    assert pseudonym(b"another key" * 4, "4711-0815") != left.patient.code


def test_without_a_number_a_study_belongs_together_and_without_that_nothing_does(send: Send) -> None:
    one, two = (sent(send, dicom(seed, PatientID="")) for seed in (1, 2))
    assert one.patient == two.patient is not None
    assert sent(send, save(dataset(np.tile(np.arange(100, dtype=np.uint8), (80, 1))))).patient is None


def test_what_is_typed_counts_before_the_header(send: Send) -> None:
    film = sent(send, dicom(ImageLaterality="L"), patient=" P-017 ", side="right", taken_on="2020-05-06")
    assert (film.patient_name, film.side, film.taken_on) == ("P-017", "right", date(2020, 5, 6))
    assert sent(send, film_bytes(), "knee.png", patient="P-017").patient == film.patient


@pytest.mark.parametrize("facts", [{"patient": "x" * 41}, {"side": "both"}, {"taken_on": "1.3.2020"}])
def test_a_fact_that_makes_no_sense_is_refused(send: Send, facts: dict[str, str]) -> None:
    response = send(film_bytes(), **facts)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_option")
    assert not Patient.objects.exists()


def test_the_same_film_of_another_patient_is_not_taken_for_the_one_there(send: Send) -> None:
    film = sent(send, film_bytes(), patient="P-1", side="left")
    refused = send(film_bytes(), patient="P-2", side="left")
    assert refused.status_code == 409
    assert refused.json()["known"]["differences"] == [{"name": "patient", "there": "P-1", "here": "P-2"}]
    assert send(film_bytes(), patient="P-2", if_known="update").status_code == 200
    film.refresh_from_db()
    assert film.patient_name == "P-2"
    assert list(Patient.objects.values_list("name", flat=True)) == ["P-2"]
    assert send(film_bytes(), patient="P-3", if_known="separate").status_code == 201


def test_a_patient_is_edited_and_goes_with_the_last_film(client: Client, send: Send) -> None:
    film = sent(send, film_bytes(), patient="P-1")
    fields = {"patient": "P-2", "side": "left", "taken_on": "2026-02-01"}
    assert client.post(f"/films/{film.id}/edit", fields).status_code == 302
    film.refresh_from_db()
    assert (film.patient_name, film.side, film.taken_on) == ("P-2", "left", date(2026, 2, 1))
    assert Patient.objects.count() == 1
    form = client.get(f"/films/{film.id}/").context["facts_form"]
    assert [form[name].value() for name in ("patient", "side")] == ["P-2", "left"]
    client.post(f"/films/{film.id}/edit", {"side": "left"})
    film.refresh_from_db()
    assert (film.patient, film.taken_on, Patient.objects.count()) == (None, None, 0)
    sent(send, film_bytes(5), patient="P-4")
    client.post(f"/films/{Film.objects.get(patient__name='P-4').pk}/delete")
    let_deletions_pass()
    assert not Patient.objects.exists()


def make(owner: User, patient: Patient | None, side: str, day: str, number: int) -> Film:
    return Film.objects.create(
        owner=owner, sha256=f"{number:064}", name=f"{number}.png", format="PNG", bytes=1, width=100, height=100,
        patient=patient, side=side, taken_on=date.fromisoformat(day),
    )  # fmt: skip


def test_a_film_has_the_other_knee_and_the_earlier_ones_beside_it(client: Client, owner: User) -> None:
    patient = Patient.objects.create(owner=owner, name="P-1")
    days = {1: "2020-01-01", 2: "2022-01-01", 3: "2024-01-01"}
    left = {number: make(owner, patient, "left", day, number) for number, day in days.items()}
    right = {number: make(owner, patient, "right", day, 10 + number) for number, day in days.items()}
    make(owner, Patient.objects.create(owner=owner, name="P-2"), "left", "2021-01-01", 30)
    shown = client.get(f"/films/{left[2].id}/")
    relatives = shown.context["relatives"]
    # The patient's right hangs on the viewer's left; earlier before later.
    assert relatives.pairs == [
        ("Beside the right knee", (right[2], left[2])),
        ("Beside 1 Jan 2020", (left[1], left[2])),
    ]
    assert relatives.knees.left == list(left.values())
    for pair in ((right[2], left[2]), (left[1], left[2])):
        url = f"/compare?films={pair[0].id}&films={pair[1].id}"
        assert url.replace("&", "&amp;") in shown.content.decode()
        assert client.get(url).status_code == 200
    assert client.get(f"/films/{right[1].id}/").context["relatives"].pairs == [
        ("Beside the left knee", (right[1], left[1]))
    ]
    alone = make(owner, None, "left", "2021-01-01", 31)
    assert client.get(f"/films/{alone.id}/").context["relatives"] is None


def test_the_history_groups_by_patient(client: Client, owner: User) -> None:
    second, first = (Patient.objects.create(owner=owner, name=name) for name in ("P-2", "P-1"))
    make(owner, None, "", "2026-01-01", 0)
    make(owner, second, "right", "2021-01-01", 1)
    make(owner, first, "right", "2022-01-01", 2)
    make(owner, second, "left", "2021-01-01", 3)
    make(owner, second, "left", "2020-01-01", 4)
    page = client.get("/films/?sort=patient")
    assert [film.name for film in page.context["page"].object_list] == ["2.png", "4.png", "3.png", "1.png", "0.png"]
    text = page.content.decode()
    assert text.count('<tr class="patient"') == 3
    assert text.index("Patient P-1") < text.index("Patient P-2") < text.index("No patient named")
    # Earlier beside later and right beside left are one click away, with films that are on other pages, too.
    newest = {film.name: film.pk for film in Film.objects.all()}
    for pair in (("4.png", "3.png"), ("1.png", "3.png")):
        assert f"/compare?films={newest[pair[0]]}&amp;films={newest[pair[1]]}" in text
    assert '<tr class="patient"' not in client.get("/films/").content.decode()
    assert [film.name for film in client.get("/films/?q=P-1").context["page"].object_list] == ["2.png"]


def test_the_patient_s_page_and_pseudonym(client: Client, stranger: Client, send: Send) -> None:
    left, right = sent(send, dicom(1, ImageLaterality="L")), sent(send, dicom(2, ImageLaterality="R"))
    patient = left.patient
    page = client.get(patient.get_absolute_url())
    assert page.context["knees"].count == 2
    assert page.context["knees"].comparisons == [("Right beside left", f"/compare?films={right.pk}&films={left.pk}")]
    assert patient.name not in patient.get_absolute_url()
    Patient.objects.create(owner=patient.owner, name="P-9")
    refused = client.post(f"/patients/{patient.id}/rename", {"name": "P-9"})
    assert (refused.status_code, "P-018" in refused.content.decode()) == (400, True)
    assert client.post(f"/patients/{patient.id}/rename", {"name": "P-1"}).status_code == 302
    assert sent(send, dicom(3)).patient_name == "P-1"  # the number in the header leads to the same patient
    for url in (f"/patients/{patient.id}/", f"/patients/{patient.id}/rename"):
        assert stranger.post(url, {"name": "x"}).status_code in (404, 405)
        assert stranger.get(url).status_code in (404, 405)
        assert Client().get(url)["Location"].startswith("/accounts/login")


def test_tables_and_api_name_the_patient(client: Client, send: Send) -> None:
    film = sent(send, film_bytes(), patient="P-1", side="left", taken_on="2026-02-01")
    rows = csv.DictReader(io.StringIO(b"".join(client.get("/films/export.csv").streaming_content).decode("utf-8-sig")))
    row = next(rows)
    assert (row["patient_name"], row["side"], row["taken_on"]) == ("P-1", "left", "2026-02-01")
    assert client.get(f"/films/{film.id}/answer.json").json()["film"]["patient_name"] == "P-1"


def test_codes_that_begin_alike_are_two_patients(owner: User) -> None:
    one, two = (patients.coded(owner, code) for code in ("ABCDEFGH12345678", "ABCDEFGH99999999"))
    assert (one.name, two.name) == ("ABCDEFGH", "ABCDEFGH99999999")


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    patient = Patient.objects.create(owner=film.owner, name="P-1")
    Film.objects.update(patient=patient)
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/", "GET", film)
