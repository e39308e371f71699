"""Reading lists, marks, assignments and shares: who sees what, and nobody else anything."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from accounts.models import AuditEntry, User
from django.test import Client
from django.utils import timezone
from films.models import Film, Patient, Share
from refusals import check_refusals
from web_films import film_bytes

READING_PAGES = (
    "", "state", "picture.png", "thumb.jpg", "overlay.png", "answer.json", "report.pdf", "original", "dicom/report",
)  # fmt: skip


@pytest.fixture
def bob(stranger: Client) -> User:
    """The colleague, who is logged in as `stranger`."""
    return User.objects.get(username="bob")


def names(client: Client, view: str) -> list[str]:
    return [film.name for film in client.get(f"/worklist/?view={view}").context["page"].object_list]


def make(owner: User, zones: str) -> list[Film]:
    """Films by the first letters of their zones, each an hour older than the one before."""
    now = timezone.now()
    names = {"r": "refer", "u": "uncertain", "l": "low suspicion", "-": ""}
    return [
        Film.objects.create(
            owner=owner, sha256=f"{n:064}", name=f"{n}{zone}", format="PNG", bytes=1, width=100, height=100,
            triage=names[zone], uploaded_at=now - timedelta(hours=n * 10), label="x" if zone != "-" else "",
            state="answered" if zone != "-" else "waiting",
        )
        for n, zone in enumerate(zones)
    ]  # fmt: skip


def test_lists_in_the_order_in_which_they_are_worked(client: Client, owner: User, bob: User) -> None:
    films = make(owner, "lr-ur")
    assert names(client, "new") == ["0l", "1r", "2-"]  # of the last day, the newest first
    assert names(client, "refer") == ["4r", "1r", "3u", "0l", "2-"]  # of two that are as urgent, the older one
    assert names(client, "unread") == ["4r", "3u", "2-", "1r", "0l"]
    assert names(client, "mine") == []
    lists = client.get("/worklist/").context["lists"]
    assert [(name, count) for name, _, count in lists] == [("new", 3), ("refer", 5), ("unread", 5), ("mine", 0)]
    client.post("/worklist/selected", {"films": [films[4].pk, films[1].pk], "action": "read", "view": "refer"})
    assert names(client, "refer") == ["3u", "0l", "2-"]
    films[4].refresh_from_db()
    assert (films[4].read_by, films[4].read_at is not None) == (owner, True)
    client.post("/worklist/selected", {"films": [films[4].pk], "action": "unread"})
    assert names(client, "refer")[0] == "4r"
    client.post("/worklist/selected", {"films": [films[4].pk, films[1].pk], "action": "assign", "name": "ada"})
    assert names(client, "mine") == ["4r", "1r"]  # what is read comes last, however old
    assert client.get("/worklist/?view=other").status_code == 404
    assert AuditEntry.objects.filter(action="mark read").count() == 2
    assert AuditEntry.objects.filter(action="assign", detail="ada").count() == 2


def test_an_assigned_film_is_seen_and_read_by_the_colleague_alone(
    client: Client, stranger: Client, bob: User, film: Film
) -> None:
    eve = Client()
    eve.force_login(User.objects.create_user("eve", password="x"))
    assert stranger.get(f"/films/{film.id}/").status_code == 404
    assert client.post(f"/films/{film.id}/assign", {"name": "bob"}).status_code == 302
    assert names(stranger, "mine") == [film.name]
    for page in READING_PAGES:
        assert stranger.get(f"/films/{film.id}/{page}").status_code == 200, page
        assert eve.get(f"/films/{film.id}/{page}").status_code == 404
    for action in ("edit", "delete", "reread", "share"):
        assert stranger.post(f"/films/{film.id}/{action}", {"name": "eve"}).status_code == 404
    page = stranger.get(f"/films/{film.id}/").content.decode()
    assert "shared by ada" in page
    assert [text for text in ('id="facts"', "Delete", "Share with") if text in page] == []
    assert stranger.get("/films/").context["total"] == 0  # the history is one's own
    assert stranger.post(f"/films/{film.id}/mark", {"action": "read"}).status_code == 302
    assert client.get(f"/films/{film.id}/").content.decode().count("read by bob") == 1
    assert stranger.post(f"/films/{film.id}/assign", {"name": "eve"}).status_code == 302  # it may be passed on
    assert stranger.get(f"/films/{film.id}/").status_code == 404
    assert eve.get(f"/films/{film.id}/").status_code == 200
    client.post(f"/films/{film.id}/assign", {"name": ""})
    assert eve.get(f"/films/{film.id}/").status_code == 404


def test_a_film_and_a_patient_are_shared_until_the_share_ends(
    client: Client, stranger: Client, bob: User, send: Callable[..., Any]
) -> None:
    film, other = (
        send(film_bytes(seed), patient="P-1", side=side).json()["id"] for seed, side in enumerate(("left", "right"))
    )
    client.post(f"/films/{film}/share", {"name": "bob"})
    client.post(f"/films/{film}/share", {"name": "bob"})
    assert Share.objects.count() == 1
    assert stranger.get(f"/films/{film}/").context["relatives"] is None  # the other film is not shared
    assert stranger.get(f"/films/{other}/").status_code == 404
    assert stranger.get(f"/compare?films={film}&films={other}").status_code == 404
    patient = Patient.objects.get()
    client.post(f"/patients/{patient.id}/share", {"name": "bob"})
    assert stranger.get(f"/compare?films={film}&films={other}").status_code == 200
    assert len(stranger.get(f"/films/{film}/").context["relatives"].pairs) == 1
    later = send(film_bytes(7), patient="P-1").json()["id"]
    assert stranger.get(f"/films/{later}/").status_code == 200
    assert stranger.get(f"/patients/{patient.id}/").status_code == 404  # renaming is the owner's
    assert stranger.post(f"/shares/{Share.objects.first().pk}/end").status_code == 404
    for share in Share.objects.all():
        assert client.post(f"/shares/{share.pk}/end").status_code == 302
    assert {stranger.get(f"/films/{film_id}/").status_code for film_id in (film, other, later)} == {404}
    assert AuditEntry.objects.filter(action="share").count() == 3


@pytest.mark.parametrize("name", ["nobody", "closed", "", "a\0b", "x" * 200])
def test_only_accounts_in_use_are_named(client: Client, film: Film, bob: User, name: str) -> None:
    User.objects.create_user("closed", password="x", is_active=False)
    assert client.post(f"/films/{film.id}/share", {"name": name}).status_code == 302
    client.post("/worklist/selected", {"films": [film.pk], "action": "assign", "name": name})
    film.refresh_from_db()
    assert (film.assigned_to, Share.objects.count()) == (None, 0)


def test_nothing_is_done_to_films_of_others(client: Client, stranger: Client, bob: User, film: Film) -> None:
    for fields in ({"action": "read"}, {"action": "assign", "name": "bob"}, {}):
        assert stranger.post("/worklist/selected", {"films": [film.pk, "x"], **fields}).status_code == 302
    film.refresh_from_db()
    assert (film.read_at, film.assigned_to) == (None, None)
    for action in ("mark", "assign", "share"):
        check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/{action}", "POST", film)  # noqa: B023


def test_an_account_that_is_deleted_leaves_the_films(client: Client, film: Film, bob: User, stranger: Client) -> None:
    client.post(f"/films/{film.id}/assign", {"name": "bob"})
    stranger.post(f"/films/{film.id}/mark", {"action": "read"})
    bob.delete()
    film.refresh_from_db()
    assert (film.assigned_to, film.read_by, film.read_at is not None) == (None, None, True)
    assert "a closed account" in client.get(f"/films/{film.id}/").content.decode()
