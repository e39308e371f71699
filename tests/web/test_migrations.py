"""Databases of earlier versions: their rows after the changes since."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from accounts.sessions import SessionStore as TodaysStore
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

FIRST = [(app, "0001_initial") for app in ("accounts", "sessions", "xrays", "reviews")]
Migrate = Callable[[], Any]


@pytest.fixture
def earlier(transactional_db: None) -> Iterator[tuple[Any, Migrate]]:
    """The models as they were at first, and a call that migrates to today's and gives those."""

    def migrate(targets: list[tuple[str, str]]) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate(targets)
        return MigrationExecutor(connection).loader.project_state(targets).apps

    newest = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes()]
    yield migrate(FIRST), lambda: migrate(newest)
    migrate(newest)


def make_film(apps: Any, owner: Any, number: int, label: str) -> Any:
    film = apps.get_model("xrays", "Film").objects.create(
        owner_id=owner.pk, sha256=f"{number:064}", name="knee.png", format="PNG", bytes=1, width=100, height=100,
        label=label, state="answered" if label else "waiting",
    )  # fmt: skip
    if label:
        readings = apps.get_model("xrays", "Reading").objects
        readings.create(film=film, model="knee", state="answered", label=label, answered_at=timezone.now())
    return film


def test_who_may_have_seen_an_answer_has_seen_it(earlier: tuple[Any, Migrate]) -> None:
    """Owners saw what was answered; reviewers what the audit log says; and own reviews after the answer were open."""
    apps, to_today = earlier
    people = apps.get_model("accounts", "User").objects
    owner, looker, blind = (people.create(username=name) for name in ("ada", "eve", "mallory"))
    answered, waiting = make_film(apps, owner, 1, "normal"), make_film(apps, owner, 2, "")
    early = make_film(apps, owner, 3, "normal")
    entries = apps.get_model("accounts", "AuditEntry").objects
    entries.create(user=looker, action="view", film_id=answered.pk)
    entries.create(user=blind, action="review", film_id=answered.pk)
    entries.create(user=None, action="view", film_id=answered.pk)
    reviews = apps.get_model("reviews", "Review").objects
    for film, reviewer in ((answered, owner), (answered, blind), (waiting, owner), (early, owner)):
        reviews.create(film=film, reviewer=reviewer, blind=True)
    reviews.filter(film=early).update(created_at=timezone.now() - timedelta(days=1))  # before the answer came

    apps = to_today()
    sightings = apps.get_model("xrays", "Sighting").objects.values_list("film_id", "user__username")
    assert set(sightings) == {(answered.pk, "ada"), (answered.pk, "eve"), (early.pk, "ada")}
    opened = apps.get_model("reviews", "Review").objects.filter(blind=False).values_list("film_id", "reviewer_id")
    assert list(opened) == [(answered.pk, owner.pk)]


def test_films_of_before_are_the_first_copies(earlier: tuple[Any, Migrate]) -> None:
    apps, to_today = earlier
    owner = apps.get_model("accounts", "User").objects.create(username="ada")
    film = make_film(apps, owner, 1, "normal")
    films = to_today().get_model("xrays", "Film").objects
    assert list(films.values_list("pk", "copy", "label")) == [(film.pk, 0, "normal")]


def test_nobody_has_to_log_in_again(earlier: tuple[Any, Migrate]) -> None:
    apps, to_today = earlier
    ada = apps.get_model("accounts", "User").objects.create(username="ada")
    before, day = apps.get_model("sessions", "Session").objects, timezone.now() + timedelta(days=1)
    key, (data, gone) = "k" * 32, (SessionStore().encode({"_auth_user_id": str(pk)}) for pk in (ada.pk, ada.pk + 1))
    before.create(session_key=key, session_data=data, expire_date=day)
    before.create(session_key="over", session_data=data, expire_date=timezone.now())
    before.create(session_key="gone", session_data=gone, expire_date=day)
    before.create(session_key="unreadable", session_data="nonsense", expire_date=day)
    sessions = to_today().get_model("accounts", "Session").objects.values_list("pk", "user", "session_data")
    assert list(sessions) == [(key, ada.pk, data)]
    assert TodaysStore(key).get("_auth_user_id") == str(ada.pk)  # today's, with the signature of before
