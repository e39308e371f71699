"""What the soak counts as wrong."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


def response(status: int, identity: str, **body: Any) -> httpx.Response:
    return httpx.Response(status, json={"id": identity} | body, headers={"x-request-id": identity})


@pytest.mark.parametrize(
    ("second", "wrong"),
    [
        (response(200, "b", label="normal", timing_ms=2), None),
        (response(500, "b", label="normal"), "status 500 instead of 200"),
        (response(200, "b", label="osteopenia"), "another answer than before"),
        (response(200, "a", label="normal"), "the id a came twice"),
        (httpx.Response(200, json={"id": "c", "label": "normal"}, headers={"x-request-id": "b"}), "another request"),
    ],
)
def test_wrong_doubled_and_swapped_answers_are_seen(
    soak: ModuleType, second: httpx.Response, wrong: str | None
) -> None:
    account = soak.Account()
    kind = soak.Kind("film", 200, b"film")
    account.check(kind, response(200, "a", label="normal", timing_ms=1))
    assert account.wrong == []
    account.check(kind, second)
    assert [wrong in line for line in account.wrong] == ([True] if wrong else [])


def test_the_palette_picture_has_no_palette(soak: ModuleType) -> None:
    picture = soak.palette_without_colours()
    assert b"PLTE" not in picture
    assert picture[25] == 3  # the type of colours in IHDR
    assert len({kind.name for kind in soak.kinds()}) == len(soak.kinds())
