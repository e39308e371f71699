"""Lines of both engines as JSON objects."""

import json
import logging
import sys
from pathlib import Path

import pytest

from osteolens.errors import OsteoLensError
from osteolens.logs import JsonLines, is_json
from osteolens.serving.asgi.access import AccessLog
from osteolens.serving.logs import copy_log_config

ROOT = Path(__file__).parents[2]


def test_a_line_holds_a_whole_event() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("a.b", logging.ERROR, "", 1, "film %s", ("x",), sys.exc_info())
    record.request_id = "r"
    line = JsonLines().format(record)
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"], event["request_id"]) == ("ERROR", "a.b", "film x", "r")
    assert event["traceback"].endswith("ValueError: two\nlines")
    assert event["time"].endswith("+00:00")
    assert "account" not in event


def test_another_format_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_json()
    monkeypatch.setenv("OSTEOLENS_LOG_FORMAT", "xml")
    with pytest.raises(OsteoLensError, match="OSTEOLENS_LOG_FORMAT is 'xml': text or json, for example"):
        is_json()


def test_the_access_log_of_the_maintained_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOLENS_LOG_FORMAT", "json")
    scope = {"client": ("10.0.0.7", 1234), "method": "POST", "raw_path": b"/predictions/knee", "http_version": "1.1"}
    AccessLog(tmp_path / "access_log.log").write(scope, 200, 0.0123, "r")
    event = json.loads((tmp_path / "access_log.log").read_text())
    event.pop("time")
    assert event == {
        "logger": "access", "client": "10.0.0.7", "method": "POST", "route": "/predictions/knee", "status": 200,
        "ms": 12, "request_id": "r",
    }  # fmt: skip


def test_the_log_settings_of_torchserve_change_in_their_layouts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ROOT / "log4j2.xml"
    assert copy_log_config(source, tmp_path).read_text() == source.read_text()
    monkeypatch.setenv("OSTEOLENS_LOG_FORMAT", "json")
    lines = zip(
        source.read_text().splitlines(), copy_log_config(source, tmp_path).read_text().splitlines(), strict=True
    )
    changed = [(old.strip(), new.strip()) for old, new in lines if old != new]
    assert len(changed) == 4
    assert all(old.startswith("<PatternLayout ") and "%enc{%c{1}}{JSON}" in new for old, new in changed)
