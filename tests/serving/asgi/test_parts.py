"""The small parts of the second engine: keys, counts, the access log, archives, and the document of its API."""

import json
import time
import zipfile
from pathlib import Path

import jsonschema
import pytest

import osteolens
from osteolens.errors import ServerError
from osteolens.rows import ErrorAnswer, ErrorDetail, dump
from osteolens.serving.asgi import access, openapi
from osteolens.serving.asgi.archives import check_code
from osteolens.serving.asgi.keys import API, INFERENCE, MANAGEMENT, Key, Keys
from osteolens.serving.asgi.metrics import Metrics
from osteolens.serving.torchserve import read_keys

ROOT = Path(__file__).parents[3]


def test_each_key_opens_its_own_door_and_a_renewed_one_closes_the_old(tmp_path: Path) -> None:
    path = tmp_path / "key_file.json"
    keys = Keys(path, minutes=1)
    stored = {kind: entry["key"] for kind, entry in read_keys(path).items()}
    assert set(stored) == {INFERENCE, MANAGEMENT, API}
    for kind in stored:
        assert [keys.allow(kind, f"Bearer {stored[other]}") for other in stored] == [kind == other for other in stored]
    assert not any(keys.allow(INFERENCE, text) for text in ("", "Bearer", stored[INFERENCE], "Bearer \udcff"))
    keys.renew(INFERENCE)
    assert not keys.allow(INFERENCE, f"Bearer {stored[INFERENCE]}")
    assert keys.allow(INFERENCE, f"Bearer {read_keys(path)[INFERENCE]['key']}")
    assert keys.allow(MANAGEMENT, f"Bearer {stored[MANAGEMENT]}")


def test_an_expired_key_opens_nothing_and_without_a_file_all_is_open() -> None:
    assert Key("x", time.time() + 60).fits("Bearer x")
    assert not Key("x", time.time() - 1).fits("Bearer x")
    assert Keys(None, 1).allow(MANAGEMENT, "")


def test_counts_of_two_workers_add_up_in_prometheus_text(tmp_path: Path) -> None:
    workers = [Metrics(ROOT / "handlers" / "metrics.yaml") for _ in range(2)]
    for number, worker in enumerate(workers, 1):
        worker.add("osteolens_films_total", number, "knee", "answered", 'odd "label"\\', "none")
        worker.observe("osteolens_step_seconds", 0.004 * number, "knee", "model")
        worker.set("QueueTime", number, "Host")
    total = workers[0].empty()
    for worker in workers:
        total.merge(json.loads(json.dumps(worker.state())))
    lines = total.text().splitlines()
    host = next(line for line in lines if line.startswith("QueueTime{")).split('Hostname="')[1].split('"')[0]
    labels = r'model="knee",outcome="answered",label="odd \"label\"\\",code="none"'
    assert f'osteolens_films_total{{{labels},Hostname="{host}"}} 3.0' in lines
    step = f'model="knee",step="model",Hostname="{host}"'
    assert f'osteolens_step_seconds_bucket{{{step},le="0.005"}} 1' in lines  # 0.004 lies in it, 0.008 does not
    assert f'osteolens_step_seconds_bucket{{{step},le="0.01"}} 2' in lines
    assert f'osteolens_step_seconds_bucket{{{step},le="+Inf"}} 2' in lines
    assert f"osteolens_step_seconds_sum{{{step}}} 0.012" in lines
    assert f'QueueTime{{Level="Host",Hostname="{host}"}} 2' in lines


def test_a_full_access_log_is_renamed_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LARGEST", 100)
    path = tmp_path / "access_log.log"
    log = access.AccessLog(path)
    scope = {"client": ("127.0.0.1", 5), "method": "PUT", "raw_path": b"/predictions/x", "http_version": "1.1"}
    for number in range(8):
        log.write(scope, 200 + number, 0.0123, "a")
        log.write(scope, 200 + number, 0.0123, "a")
        assert access.make_room(path)
        log.open()
    assert not access.make_room(path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "access_log.1.log",
        *(f"access_log.{n}.log" for n in range(2, 6)),
        "access_log.log",
    ]
    assert files[0].read_text().endswith('/127.0.0.1:5 "PUT /predictions/x HTTP/1.1" 207 12\n')
    assert path.stat().st_size == 0


def test_an_archive_of_other_code_is_refused_by_name(tmp_path: Path) -> None:
    package = Path(osteolens.__file__).parent
    archive = tmp_path / "knee.mar"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.write(package / "card.py", "osteolens/card.py")
        stored.writestr("osteolens/serving/requests.py", "# another engine's business\n")
    check_code(archive)
    with zipfile.ZipFile(archive, "a") as stored:
        stored.writestr("osteolens/films/prepare.py", "# another preprocessing\n")
    with pytest.raises(ServerError, match=r"films/prepare\.py differs.*make archives"):
        check_code(archive)


def test_the_stored_document_is_that_of_the_schema() -> None:
    """To renew it: python -m osteolens.serving.asgi.openapi > docs/openapi.json."""
    assert json.loads((ROOT / "docs" / "openapi.json").read_text()) == openapi.document()


def test_the_page_shows_all_and_loads_nothing() -> None:
    text = openapi.page(openapi.document(("knee<script>",)))
    assert "X-OsteoLens-Weight-Kg" in text
    assert "knee&lt;script&gt;" in text
    assert not any(word in text for word in ("<script", "src=", "http:", "https:"))


def test_a_refusal_follows_the_document_and_nonsense_does_not() -> None:
    document = openapi.document()
    schema = document["paths"]["/predictions/{model}"]["post"]["responses"]["415"]["content"]["application/json"][
        "schema"
    ]
    whole = schema | {"components": document["components"]}
    jsonschema.validate(json.loads(dump(ErrorAnswer(error=ErrorDetail(code="x", message="y")))), whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": 2, "error": "nonsense"}, whole)
