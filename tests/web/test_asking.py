"""One question to the server, with the real client."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_reader import FakeReader, listening
from films import asking
from films.asking import _client as real_client
from web_films import film_bytes

from osteolens.serving.ports import free_ports


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real client instead of the fake one, made again."""
    real_client.cache_clear()
    monkeypatch.setattr(asking, "_client", real_client)
    yield
    real_client.cache_clear()


@pytest.mark.usefixtures("real")
def test_a_server_that_comes_later_with_its_key(settings: Any, tmp_path: Path, reader: FakeReader) -> None:
    """No key file, half of one, nobody there, then an answer: what was wrong is never remembered."""
    (port,) = free_ports(1)
    settings.SERVER_URL, settings.SERVER_KEY_FILE = f"http://127.0.0.1:{port}", tmp_path / "key_file.json"
    assert asking.ask("knee", film_bytes(), {}).is_server_away
    settings.SERVER_KEY_FILE.write_text('{"inference":')
    assert asking.ask("knee", film_bytes(), {}).is_server_away
    settings.SERVER_KEY_FILE.write_text(json.dumps({"inference": {"key": "k"}}))
    assert asking.ask("knee", film_bytes(), {}).is_server_away
    with listening(reader, port):
        outcome = asking.ask("knee", film_bytes(), {"age": "63", "weight_kg": "71.5"})
    assert outcome.answer is not None
    assert outcome.answer.label == "osteopenia"
    assert reader.asked == [("knee", {"age": "63", "weight_kg": "71.5"})]
    assert len(outcome.maps) == 3
    assert {explanation["map_png"] for explanation in outcome.row["explanations"]} == {""}
