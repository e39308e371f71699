"""Limits of rate and of number under way: 429 with Retry-After, for each person by themselves."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accounts.models import AuditEntry, Token, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from films import limits, pictures
from films.limits import Limit
from films.models import Film
from people import PASSWORD
from project.errors import TooMany
from uploads import intake
from web_films import film_bytes

IMPATIENT = Limit("test", "things", 2, 0)
WEB = Path(limits.__file__).parents[1]
DRAW_THREE = r"""
import re, sys, threading
from pathlib import Path
import numpy as np
from films import pictures

def draw():
    grey = pictures.to_draw_on(Path(sys.argv[1]))
    mixed = pictures.under_map(grey, np.full((256, 256), 200, np.uint8), "inferno", 0.6, 0.0, None)
    assert len(pictures.with_caption(mixed, ["a", "b"])) > 1000

threads = [threading.Thread(target=draw) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
# Unlike ru_maxrss, it does not count what the parent had when it started this process.
print(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_so_many_in_a_burst_and_then_as_the_minute_goes_on(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 a minute: one is free again every two seconds, and never are there more than 30."""
    now = [1000.0]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])

    def taken() -> int:
        for count in range(100):
            try:
                limits.check_rate(owner, IMPATIENT, 30)
            except TooMany:
                return count
        return 100

    assert taken() == 30
    now[0] += 1.9
    assert taken() == 0
    now[0] += 0.2
    assert taken() == 1
    now[0] -= 500  # a clock that was set back
    assert taken() == 0
    now[0] += 10_000
    assert taken() == 30


def test_each_person_and_each_kind_has_its_own(owner: User) -> None:
    other = User.objects.create_user("bob", password=PASSWORD)
    limits.check_rate(owner, IMPATIENT, 1)
    limits.check_rate(other, IMPATIENT, 1)
    limits.check_rate(owner, limits.DRAWN, 1)
    with pytest.raises(TooMany, match="more than 1 things in a minute"):
        limits.check_rate(owner, IMPATIENT, 1)
    with limits.under_way(owner, IMPATIENT), limits.under_way(owner, IMPATIENT):
        with pytest.raises(TooMany, match="2 things are under way"), limits.under_way(owner, IMPATIENT):
            pass
        with limits.under_way(other, IMPATIENT):
            pass
    with limits.under_way(owner, IMPATIENT):
        pass


def test_large_pictures_come_one_after_the_other_whoever_asks(owner: User) -> None:
    other = User.objects.create_user("bob", password=PASSWORD)
    at_once, most = [0], [0]

    def work(user: User) -> None:
        with limits.under_way(user, limits.DRAWN, limits.LARGE_PIXELS + 1):
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            threading.Event().wait(0.05)
            at_once[0] -= 1

    threads = [threading.Thread(target=work, args=[user]) for user in (owner, other, owner, other)]
    for thread in threads:
        thread.start()
    with limits.under_way(owner, limits.DRAWN, limits.LARGE_PIXELS):
        pass  # a smaller one need not wait
    for thread in threads:
        thread.join()
    assert (at_once, most) == ([0], [1])


@pytest.mark.parametrize("name", ["overlay.png", "report.pdf"])
def test_drawings_are_limited(client: Client, film: Film, settings: Any, name: str) -> None:
    settings.DRAWINGS_PER_MINUTE = 2
    answers = [client.get(f"/films/{film.id}/{name}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 28 <= int(answers[2]["Retry-After"]) <= 30
    assert b"ore than 2 overlays" in answers[2].content


def test_region_files_are_limited(client: Client, settings: Any) -> None:
    settings.DRAWINGS_PER_MINUTE = 1
    assert [client.get("/reviews/coco.json").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("of", ["films", "reviews", "api"])
def test_pictures_are_limited(client: Client, owner: User, film: Film, settings: Any, of: str) -> None:
    settings.PICTURES_PER_MINUTE = 2
    headers = {"Authorization": f"Bearer {Token.create(owner)}"}
    url = f"/api/films/{film.id}/map/normal" if of == "api" else f"/{of}/{film.id}/thumb.jpg"
    answers = [client.get(url, headers=headers if of == "api" else {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 28 <= int(answers[2]["Retry-After"]) <= 30
    if of == "api":
        assert answers[2].json()["error"]["code"] == "too_many_requests"


def test_a_picture_is_under_way_until_it_is_sent(client: Client, film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STORED", Limit("stored", "pictures", 1, 0))
    url = f"/films/{film.id}/picture.png"
    first = client.get(url)
    assert client.get(url).status_code == 429
    assert b"".join(first.streaming_content)
    assert client.get(url).status_code == 200


def test_uploads_under_way_are_limited_in_the_page_and_the_api(
    client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READ", Limit("read", "uploads", 1, 0))
    headers = {"Authorization": f"Bearer {Token.create(owner)}"}
    with limits.under_way(owner, limits.READ):
        for url in ("/upload", "/api/films"):
            answer = client.post(url, {"file": SimpleUploadedFile("a.png", film_bytes())}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_requests")
            assert int(answer["Retry-After"]) >= 1
    assert not Film.objects.exists()


def test_the_api_too_says_when_to_send_the_next_film(client: Client, owner: User, settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 1
    AuditEntry.objects.create(user=owner, action="upload")
    AuditEntry.objects.update(at=timezone.now() - timedelta(seconds=40))
    headers = {"Authorization": f"Bearer {Token.create(owner)}"}
    answer = client.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes())}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_uploads")
    assert (answer["Retry-After"], answer.json()["error"]["hint"]) == ("20", "wait 20 s")


def test_a_large_film_is_drawn_at_the_size_of_a_screen(
    client: Client, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    under_map = pictures.under_map

    def noted(film: pictures.Grey, *rest: Any) -> Any:
        sizes.append(film.shape)
        return under_map(film, *rest)

    monkeypatch.setattr(pictures, "under_map", noted)
    film_id = send(film_bytes(size=(1024, 4096))).json()["id"]
    assert client.get(f"/films/{film_id}/overlay.png").status_code == 200
    assert client.get(f"/films/{film_id}/report.pdf").status_code == 200
    assert sizes == [(2048, 512), (1400, 350)]


def test_drawn_pixels_are_means_of_the_film_s() -> None:
    """Halved: each pixel is the mean of four."""
    film = np.arange(64 * 64, dtype=np.int64).reshape(64, 64) % 251
    small = pictures.at_most(film.astype(np.uint8), 32)
    assert np.abs(small - film.reshape(32, 2, 32, 2).mean(axis=(1, 3))).max() <= 0.5


def test_decoding_counts_as_a_large_picture(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an upload holds is not known before it is decoded."""
    monkeypatch.setattr(limits, "_LARGE", Limit("large", "large pictures", 1, 0))
    with limits.under_way(owner, limits.DRAWN, 64_000_000), pytest.raises(TooMany, match="large pictures"):
        intake.receive(owner, "a.png", film_bytes(), {})


@pytest.mark.slow
def test_three_films_of_64_megapixels_are_drawn_at_once_in_less_than_1200_megabytes(tmp_path: Path) -> None:
    """Even if they came to be drawn at once: the largest film that is read, as grain, so that its PNG is large too."""
    film = tmp_path / "display.png"
    film.write_bytes(pictures.display_png(np.random.default_rng(0).integers(0, 256, (8000, 8000), np.uint8)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(WEB), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", DRAW_THREE, str(film)]
    kilobytes = int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert kilobytes < 1_200_000
