"""Films of an archive, each answered once: what is stored, what is not tried again, what ends or waits."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from osteolens.client import ServerBusy
from osteolens.dicomweb import scoring
from osteolens.dicomweb.archive import Archive, ArchiveRefused, Place
from osteolens.dicomweb.ledger import DEAD_LETTERS, MAX_TRIES, Ledger
from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.schema import Answer

from .films import SECRETS, film, uid
from .test_objects import answer


class Shelf(Archive):
    """An archive in memory that fails as it is told to."""

    def __init__(self, *films: bytes) -> None:
        super().__init__("http://127.0.0.1:9")
        self.files = {str(dcmread(io.BytesIO(data)).SOPInstanceUID): data for data in films}
        self.stored: list[Dataset] = []
        self.listings = 0
        self.fault: Callable[[str], None] = lambda step: None

    def studies(self, filters):
        self.listings += 1
        self.fault("studies")
        for study in sorted({self._study(data) for data in self.files.values()}):
            films = sum(self._study(data) == study for data in self.files.values())
            yield study, films + sum(one.StudyInstanceUID == study for one in self.stored)

    def films(self, study):
        self.listings += 1
        return [Place(study, "1", name) for name, data in self.files.items() if self._study(data) == study]

    def present(self, study):
        return {one.SOPInstanceUID for one in self.stored if one.StudyInstanceUID == study}

    def fetch(self, place):
        self.fault("fetch")
        return self.files[place.instance]

    def store(self, study, objects):
        self.fault("store")
        self.stored += objects
        self.fault("stored")

    @staticmethod
    def _study(data: bytes) -> str:
        return str(dcmread(io.BytesIO(data)).StudyInstanceUID)


def ask(data: bytes) -> Answer:
    return answer()


def look(shelf: Shelf, folder: Path, ask=ask, every: float | None = None, say=lambda line: None) -> scoring.Totals:
    with Ledger(folder, "here knee") as ledger:
        jobs = scoring.jobs_of_archive(shelf, ask, ledger, lambda: shelf.studies({}))
        return scoring.score(jobs, ledger, in_flight=2, every=every, say=say)


def letters(folder: Path) -> dict[str, str]:
    return {letter["sop_instance_uid"]: letter["reason"] for letter in json.loads((folder / DEAD_LETTERS).read_text())}


def test_a_film_is_answered_once_and_a_study_without_news_is_not_even_listed(tmp_path: Path) -> None:
    shelf = Shelf(film(1), film(1, 2), film(2))
    assert vars(look(shelf, tmp_path)) == {"answered": 3, "dead": 0, "failed": 0}
    assert len(shelf.stored) == 3 * 6  # two explanations
    for listings in (3, 1):  # the second look closes both studies, the third asks for the studies alone
        shelf.listings = 0
        assert look(shelf, tmp_path).answered == 0
        assert shelf.listings == listings
    shelf.files[uid(2, 7)] = film(2, 7)
    assert look(shelf, tmp_path).answered == 1


@pytest.mark.parametrize("step", ["fetch", "store", "stored"])
def test_a_kill_at_any_step_loses_and_doubles_nothing(step: str, tmp_path: Path) -> None:
    shelf = Shelf(film(1))

    def kill(at: str) -> None:
        if at == step:
            raise KeyboardInterrupt

    shelf.fault = kill
    with pytest.raises(KeyboardInterrupt):
        look(shelf, tmp_path)
    shelf.fault = lambda at: None
    assert look(shelf, tmp_path).answered == 1
    assert len(shelf.stored) == len({one.SOPInstanceUID for one in shelf.stored}) == 6


def test_only_what_is_missing_is_stored(tmp_path: Path) -> None:
    shelf = Shelf(film(1))
    look(shelf, tmp_path / "first")
    report = next(one for one in shelf.stored if one.Modality == "SR")
    shelf.stored.remove(report)
    look(shelf, tmp_path / "second")
    assert shelf.stored[-1].SOPInstanceUID == report.SOPInstanceUID
    assert len(shelf.stored) == 6


def test_what_can_never_be_answered_is_on_the_dead_letter_list_with_its_reason(tmp_path: Path) -> None:
    def refuse(data: bytes) -> Answer:
        raise RequestRefused(422, "unusable_image", "the film is blank")

    shelf = Shelf(film(1, cut=8), film(2, frame=b"\xff\x4f\xff\x51" + bytes(90)), film(3, BodyPartExamined="CHEST"))
    shelf.files |= {uid(4): film(4, ViewPosition="LL"), uid(5): film(5), uid(6): b"no DICOM at all, though it says so"}
    shelf._study = lambda data: "1.2.3"  # type: ignore[method-assign]
    assert look(shelf, tmp_path, refuse).dead == 6
    reasons = letters(tmp_path)
    assert set(reasons) == {uid(number) for number in range(1, 7)}
    assert "bytes of pixels where its header says" in reasons[uid(1)]
    assert "the header names body part CHEST" in reasons[uid(3)]
    assert "the view LL" in reasons[uid(4)]
    assert reasons[uid(5)] == "the film is blank"
    assert not shelf.stored
    assert vars(look(shelf, tmp_path)) == {"answered": 0, "dead": 0, "failed": 0}
    with Ledger(tmp_path, "here knee") as ledger:
        ledger.revive()
    assert letters(tmp_path) == {}
    assert vars(look(shelf, tmp_path)) == {"answered": 1, "dead": 5, "failed": 0}


def test_our_own_pictures_are_never_answered() -> None:
    shelf = Shelf()
    scoring.turn(film(1, Manufacturer="OsteoLens"), lambda data: pytest.fail("answered"), shelf)
    assert not shelf.stored


def test_what_failed_is_tried_again_until_it_is_dead(tmp_path: Path) -> None:
    shelf = Shelf(film(1))

    def fail(step: str) -> None:
        if step == "fetch":
            raise ArchiveRefused(500, "http_500", "the archive answered with status 500")

    shelf.fault = fail
    for _ in range(MAX_TRIES - 1):
        assert vars(look(shelf, tmp_path)) == {"answered": 0, "dead": 0, "failed": 1}
    assert look(shelf, tmp_path).dead == 1
    assert letters(tmp_path) == {uid(1): "the archive answered with status 500; 5 tries"}


@pytest.mark.parametrize(
    "error",
    [ServerUnreachable("nobody"), ServerBusy(503, "busy", "busy"), ArchiveRefused(401, "http_401", "who are you?")],
)
def test_what_concerns_every_film_ends_the_look_and_counts_for_none(error: ClientError, tmp_path: Path) -> None:
    def fail(data: bytes) -> Answer:
        raise error

    shelf = Shelf(film(1))
    for _ in range(MAX_TRIES + 1):
        with pytest.raises(type(error)):
            look(shelf, tmp_path, fail)
    assert look(shelf, tmp_path).answered == 1


def test_a_watch_waits_for_archive_and_server_and_says_so_once(tmp_path: Path) -> None:
    shelf, lines, looks = Shelf(film(1)), [], 0

    def fault(step: str) -> None:
        nonlocal looks
        looks += step == "studies"
        if looks <= 3 and step == "studies":
            raise ArchiveRefused(503, "http_503", "the archive answered with status 503")
        if looks > 6:
            raise KeyboardInterrupt

    shelf.fault = fault
    with pytest.raises(KeyboardInterrupt):
        look(shelf, tmp_path, every=0.001, say=lines.append)
    assert lines == [
        "the archive answered with status 503; waiting for it",
        "1 films answered, 0 on the dead-letter list, 0 failed",
    ]


def test_the_ledger_holds_hashes_and_nothing_of_a_patient(tmp_path: Path) -> None:
    look(Shelf(film(1), film(2, BodyPartExamined="CHEST")), tmp_path)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert uid(1).encode() not in kept
    assert uid(2).encode() in kept  # somebody must find it
    assert not [secret for secret in SECRETS if secret.encode() in kept]
    assert tmp_path.stat().st_mode & 0o777 == 0o700 or tmp_path.exists()


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with Ledger(folder, "here"):
        assert folder.stat().st_mode & 0o77 == 0
        code = (
            f"from pathlib import Path; from osteolens.dicomweb.ledger import Ledger; Ledger(Path({str(folder)!r}), '')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process works with" in done.stderr
    (folder / "ledger.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ClientError, match="cannot be used: file is not a database"):
        Ledger(folder, "here")
