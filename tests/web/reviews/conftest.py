"""A reviewer, a film that is open to them, and ways to send reviews."""

import base64
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from accounts.models import User
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader
from films import answering
from films.models import Film, Reading
from numpy.typing import NDArray
from people import PASSWORD
from PIL import Image


@pytest.fixture
def send(send: Callable[..., Any], reader: FakeReader) -> Callable[..., Any]:
    """Upload a film whose answer comes after the reply, so that its owner has not seen it."""

    def post(content: bytes, name: str = "knee.png", **facts: str) -> Any:
        if reader.faults:
            return send(content, name, **facts)
        reader.go_away()
        response = send(content, name, **facts)
        reader.come_back()
        Reading.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        assert answering.answer_due(10) == (3, True)
        return response

    return post


@pytest.fixture
def open_film(film: Film) -> Film:
    """The owner's film, 120 x 160 pixels, open for review and with texts that no reviewer may see."""
    film.open_for_review, film.label_text, film.note = True, "secret label", "secret note"
    film.save()
    return film


@pytest.fixture
def reviewer(db: None) -> Client:
    """A browser where somebody with the permission to review is logged in."""
    return add_reviewer("eve")


def add_reviewer(name: str) -> Client:
    user = User.objects.create_user(name, password=PASSWORD)
    user.user_permissions.add(Permission.objects.get(codename="review"))
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def more_reviewers() -> Callable[[str], Client]:
    return add_reviewer


def drawn(mask: NDArray[np.bool_], mode: str = "RGBA") -> str:
    """What the page sends for a mask."""
    buffer = io.BytesIO()
    Image.fromarray(mask).convert(mode).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def left_third() -> NDArray[np.bool_]:
    """The region where the map of `normal` lies in the answers of the fake reader: bool [160, 120]."""
    mask = np.zeros((160, 120), np.bool_)
    mask[:, :40] = True
    return mask


@pytest.fixture
def draw_url() -> Callable[..., str]:
    return drawn


@pytest.fixture
def say() -> Callable[..., Any]:
    """Send a review; the response."""

    def post(browser: Client, film: Film, **fields: str) -> Any:
        return browser.post(f"/reviews/{film.id}/", fields)

    return post
