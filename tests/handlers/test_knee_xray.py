"""What either engine makes of a request, without a server: TorchServe's handler, and uvicorn's worker."""

import base64
import hashlib
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import httpx
import pytest
from conftest import encoded, knee_like
from ts.context import Context, RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.utils.util import list_classes_from_module

import osteolens
from osteolens.errors import ServerError
from osteolens.inference.reader import Reader, Request
from osteolens.schema import Answer
from osteolens.serving.asgi.app import Job
from osteolens.serving.asgi.worker import answer as answer_of_worker

HANDLER = Path(__file__).parents[2] / "handlers" / "knee_xray.py"
METRICS = HANDLER.with_name("metrics.yaml")
FILM = encoded(knee_like())
URL_ENCODED = "application/x-www-form-urlencoded"


class Spy:
    """A reader that notes what it is asked, and fails on the films that say so."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.calls: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.calls.append(request)
        if request.data == b"poison":
            raise RuntimeError("out of luck")
        return self.reader.answer(request)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("knee_xray", HANDLER)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(model_folder)


@pytest.fixture
def spy(reader: Reader) -> Spy:
    return Spy(reader)


@pytest.fixture
def torchserve(module: ModuleType, spy: Spy) -> Any:
    made = module.KneeXray()
    made.reader = spy
    return made


@pytest.fixture(params=["torchserve", "uvicorn"])
def handler(request: pytest.FixtureRequest, spy: Spy) -> Any:
    """The handler, or the spy itself, which `ask` gives to uvicorn's worker."""
    return request.getfixturevalue("torchserve") if request.param == "torchserve" else spy


def context_of(rows: int, headers: dict[str, str] | None = None, folder: Path = Path()) -> Context:
    config = {"handler": {"backend": "eager", "threads": 1, "threads_alone": 2}}
    metrics = MetricsCacheYamlImpl(str(METRICS))
    metrics.initialize_cache()
    context = Context("efficientnet", str(folder), {}, 8, None, "0.12.0", metrics=metrics, model_yaml_config=config)
    context.request_processor = [RequestProcessor(dict(headers or {})) for _ in range(rows)]
    context.request_ids = {row: f"id-{row}" for row in range(rows)}
    return context


def sent_to_uvicorn(row: dict[str, Any], headers: dict[str, str]) -> tuple[bytes, list[tuple[str, str]]]:
    """Body and headers that TorchServe's front end makes into a row."""
    pairs = [(name.lower(), value) for name, value in headers.items()]
    if any(value.startswith(URL_ENCODED) for _, value in pairs):
        return FILM, pairs
    if not row or not all(isinstance(value, bytes | bytearray | str) for value in row.values()):
        pytest.skip("no client can send that")
    if "body" in row:
        return bytes(row["body"]), pairs
    parts = [(name, value if isinstance(value, str) else bytes(value)) for name, value in row.items()]
    form = httpx.Request("POST", "http://x", files=[(name, (None, value)) for name, value in parts])
    return form.read(), [*pairs, ("content-type", form.headers["Content-Type"])]


def ask(handler: Any, *rows: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[list[Any], list[int]]:
    if isinstance(handler, Spy):
        sent = [sent_to_uvicorn(row, headers or {}) for row in rows]
        jobs = [Job("efficientnet", f"id-{number}", pairs, body) for number, (body, pairs) in enumerate(sent)]
        readers: Any = {"efficientnet": (handler, nullcontext)}
        replies = [answer_of_worker(readers, job) for job in jobs]
        return [json.loads(reply.body) for reply in replies], [reply.status for reply in replies]
    context = context_of(len(rows), headers)
    bodies = handler.handle(list(rows), context)
    assert all(isinstance(body, bytes) for body in bodies)
    assert all(context.get_response_content_type(row) == "application/json" for row in range(len(rows)))
    digests = [base64.b64encode(hashlib.sha256(body).digest()).decode() for body in bodies]
    assert [context.get_response_headers(row)["Content-Digest"] for row in range(len(rows))] == [
        f"sha-256=:{digest}:" for digest in digests
    ]
    return [json.loads(body) for body in bodies], [context.get_response_status(row)[0] for row in range(len(rows))]


def test_the_file_holds_exactly_one_class_as_torchserve_wants(module: ModuleType) -> None:
    assert [loaded.__name__ for loaded in list_classes_from_module(module)] == ["KneeXray"]


@pytest.mark.parametrize("row", [{"body": FILM}, {"data": bytearray(FILM)}])
def test_one_film_gives_one_answer(handler: Any, row: dict[str, Any]) -> None:
    [answer], [status] = ask(handler, row)
    assert status == 200
    assert answer["id"] == "id-0"
    assert [map_["method"] for map_ in answer["explanations"]] == ["gradcam"]


@pytest.mark.parametrize("name", ["X-OsteoLens-Weight-Kg", "x-osteolens-weight-kg"])
def test_options_come_as_headers_whatever_their_case(handler: Any, spy: Spy, name: str) -> None:
    ask(handler, {"body": FILM}, headers={name: "71.5", "Content-Type": "image/png"})
    assert spy.calls[0].options == {"weight_kg": "71.5"}


@pytest.mark.parametrize("text", [b"none", bytearray(b"none"), "none"])
def test_options_come_as_form_parts_and_win_over_headers(handler: Any, spy: Spy, text: object) -> None:
    [answer], _ = ask(handler, {"data": FILM, "explain": text}, headers={"X-OsteoLens-Explain": "layercam"})
    assert spy.calls[0].options == {"explain": "none"}
    assert answer["explanations"] == []


def test_several_films_give_a_list_in_order_with_errors_as_rows(handler: Any) -> None:
    [rows], [status] = ask(handler, {"data": FILM, "data2": b"no film", "data10": FILM})
    assert status == 200
    assert [row.get("id") for row in rows] == ["id-0.1", None, "id-0.3"]
    assert rows[1]["error"]["code"] == "unsupported_type"


@pytest.mark.parametrize(
    ("row", "headers", "status", "code", "named"),
    [
        ({}, {}, 400, "empty_body", "no film"),
        ({"body": b""}, {}, 400, "empty_body", "empty"),
        ({"explain": b"none"}, {}, 400, "empty_body", "no film"),
        ({"data": FILM, "file": b"x"}, {}, 400, "invalid_option", "'file'"),
        ({"body": FILM}, {"X-OsteoLens-Explian": "none"}, 400, "invalid_option", "X-OsteoLens-Explian"),
        ({"body": FILM}, {"X-OsteoLens-Explain": "nonsense"}, 400, "invalid_option", "nonsense"),
        ({"data": FILM, "age": b"\xff"}, {}, 400, "invalid_option", "age"),
        ({"body": {"parsed": "json"}}, {}, 415, "unsupported_type", "text"),
        ({f"data{number}": FILM for number in range(33)}, {}, 413, "too_large", "33 films"),
        ({"body": FILM}, {"X-OsteoLens-Age": "63", "x-osteolens-age": "30"}, 400, "invalid_option", "came twice"),
        ({"data": FILM, "age": FILM}, {}, 400, "invalid_option", "part age holds"),
        ({"data": FILM, "target": b"x" * 101}, {}, 400, "invalid_option", "target holds 101 bytes"),
        ({"RIFF\x80film": b""}, {"content-type": URL_ENCODED}, 415, "unsupported_type", "curl --data-binary"),
        ({}, {"Content-Type": f"{URL_ENCODED}; charset=x"}, 415, "unsupported_type", "curl --data-binary"),
    ],
)
def test_a_wrong_request_gets_its_own_error(
    handler: Any, row: dict[str, Any], headers: dict[str, str], status: int, code: str, named: str
) -> None:
    [answer], statuses = ask(handler, row, headers=headers)
    assert statuses == [status]
    assert answer["error"]["code"] == code
    assert named.lower() in answer["error"]["message"].lower()  # uvicorn gives headers in lower case
    assert answer["error"]["hint"]


@pytest.mark.parametrize("row", [{"data": FILM, "age": FILM}, {FILM[:60].decode("latin-1"): FILM}, {"target": FILM}])
def test_no_bytes_of_a_film_are_in_an_answer_or_a_log(
    handler: Any, row: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    [answer], [status] = ask(handler, row)
    assert status == 400
    assert not any(word in json.dumps(answer) + caplog.text for word in ("PNG", "IHDR", "\\x89", "\\u0089"))


def test_a_batch_is_answered_row_by_row(handler: Any, spy: Spy) -> None:
    rows = [{"body": FILM}, {"body": b""}, {"data": FILM, "data2": FILM}, {"film": FILM}, {"body": FILM}]
    answers, statuses = ask(handler, *rows)
    assert statuses == [200, 400, 200, 400, 200]
    assert [call.id for call in spy.calls] == ["id-0", "id-1", "id-2.1", "id-2.2", "id-4"]
    assert [answers[0]["id"], answers[2][0]["id"], answers[2][1]["id"], answers[4]["id"]] == [
        "id-0", "id-2.1", "id-2.2", "id-4"
    ]  # fmt: skip


def test_a_failure_stays_with_its_row_and_is_logged(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    answers, statuses = ask(handler, {"body": FILM}, {"body": b"poison"}, {"body": FILM})
    assert statuses == [200, 500, 200]
    assert answers[1]["error"]["code"] == "internal_error"
    assert "out of luck" in caplog.text
    assert "Traceback" in caplog.text


def test_a_request_that_cannot_be_unpacked_costs_nobody_else(torchserve: Any, caplog: pytest.LogCaptureFixture) -> None:
    answers, statuses = ask(torchserve, {3: b"not a name"}, {"body": FILM})  # type: ignore[dict-item]
    assert statuses == [500, 200]
    assert answers[0]["error"]["code"] == "internal_error"
    assert "Traceback" in caplog.text


def emitted(caplog: pytest.LogCaptureFixture, name: str) -> list[tuple[float, dict[str, str]]]:
    """Value and labels of a metric as TorchServe got it, in order."""
    line = re.compile(rf"\[METRICS\]{name}\.\w+:([-0-9.,e]+)\|#([^|]*)\|#type:\w+\|#hostname:[^,]+,\d+")
    matches = [line.fullmatch(record.message) for record in caplog.records if f"]{name}." in record.message]
    return [(float(match[1]), dict(label.split(":") for label in match[2].split(","))) for match in matches if match]


def test_each_film_is_counted_by_what_became_of_it(torchserve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers, _ = ask(torchserve, {"data": FILM, "data2": b"no film"}, {"film": FILM}, {"body": b"poison"})
    refused = {"model": "efficientnet", "outcome": "refused", "label": "none"}
    assert emitted(caplog, "osteolens_films_total") == [
        (1, refused | {"outcome": "answered", "label": answers[0][0]["label"], "code": "none"}),
        (1, refused | {"code": "unsupported_type"}),
        (1, refused | {"code": "invalid_option"}),
        (1, refused | {"outcome": "failed", "code": "internal_error"}),
    ]
    seconds = {labels["step"]: value for value, labels in emitted(caplog, "osteolens_step_seconds")}
    assert seconds == {step: pytest.approx(value / 1000) for step, value in answers[0][0]["timing_ms"].items()}


def test_code_from_elsewhere_than_the_archive_is_refused(module: ModuleType, model_folder: Path) -> None:
    with pytest.raises(ServerError, match="not from the archive"):
        module.KneeXray().initialize(context_of(0, folder=model_folder))


@pytest.mark.parametrize(("variable", "threads"), [(None, 1), ("2", 2)])
def test_a_worker_computes_with_the_configured_threads(
    module: ModuleType, model_folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, threads: int
) -> None:
    monkeypatch.setattr(module, "check_package", lambda folder: None)
    before = cv2.getNumThreads()
    monkeypatch.setenv("OMP_NUM_THREADS", variable or "")  # so that it is put back afterwards
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    try:
        module.KneeXray().initialize(context_of(0, folder=model_folder))
        assert cv2.getNumThreads() == threads
        assert os.environ["OMP_NUM_THREADS"] == str(threads)
    finally:
        cv2.setNumThreads(before)


def test_the_first_import_of_torch_loads_nothing_and_the_second_all_of_it() -> None:
    """As in a worker of TorchServe, whose Python finds the archive's sitecustomize."""
    code = """
import sys
import torch
print("torch._C" in sys.modules)
print(isinstance(b"an answer", (bytes, bytearray)) or isinstance(b"an answer", torch.Tensor), "torch._C" in sys.modules)
from osteolens.serving.worker import forget_empty_torch
forget_empty_torch()
print("torch._C" in sys.modules)
import torch
print("torch._C" in sys.modules, float(torch.ones(2).sum()))
"""
    source = Path(osteolens.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HANDLER.parent), str(source)])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:4] == ["False", "True False", "False", "True 2.0"]


def test_workers_start_without_pytorch_and_look_for_it_again() -> None:
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import sitecustomize, torch\n"
        "assert not isinstance(b'', torch.Tensor)\n"
        "sys.path += sys.argv[2:]\n"
        "from osteolens.serving.worker import forget_empty_torch\n"
        "forget_empty_torch()\n"
        "import torch\n"
        "print(torch.tensor([1]).sum().item())\n"
    )
    # With -S Python does not look into site-packages, where PyTorch is, until the code adds them.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, HANDLER.parent, *sys.path], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1"
