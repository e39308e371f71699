"""The live server of either engine: the repository's configuration, other ports."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psutil
import pytest
from conftest import encoded, knee_like
from PIL import Image
from stores import ROOT

from osteolens.films.overlay import decode_map
from osteolens.films.read import MAX_BYTES
from osteolens.inference.reader import Reader, Request
from osteolens.serving.torchserve import Server, read_keys

pytestmark = pytest.mark.slow

FILM = encoded(knee_like(), "JPEG")
BATCH = 8


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(model_folder)


def ask(client: httpx.Client, film: bytes, model: str = "efficientnet", **headers: str) -> httpx.Response:
    return client.post(f"/predictions/{model}", content=film, headers=headers)


def management(server: Server, key: str = "management") -> httpx.Client:
    assert server.key_file
    token = read_keys(server.key_file)[key]["key"]
    return httpx.Client(base_url=server.management_url, headers={"Authorization": f"Bearer {token}"})


def workers(server: Server, model: str = "efficientnet") -> dict[int, str]:
    """Status by process id."""
    with management(server) as http:
        [described] = http.get(f"/models/{model}").raise_for_status().json()
    return {worker["pid"]: worker["status"] for worker in described["workers"]}


def essence(answer: dict[str, Any]) -> dict[str, Any]:
    """What must be the same whenever the same film is asked about."""
    return {name: value for name, value in answer.items() if name not in ("id", "timing_ms")}


def test_five_calls_in_a_row_are_explained_and_agree(client: httpx.Client) -> None:
    answers = [ask(client, FILM).raise_for_status().json() for _ in range(5)]
    assert len({answer["id"] for answer in answers}) == 5
    for answer in answers:
        assert essence(answer) == essence(answers[0])
        [explanation] = answer["explanations"]
        assert explanation["target"] == answer["label"]
        assert explanation["peak"] > 0


def test_a_worker_that_answers_from_onnx_never_loads_torch(server: Server) -> None:
    """Before a test wants another explanation than the graph's own; nobody wants one of the model `patient`."""
    pid = next(iter(workers(server, "patient" if server.engine == "TorchServe" else "efficientnet")))
    mapped = {Path(mapping.path).name for mapping in psutil.Process(pid).memory_maps()}
    assert any("onnxruntime" in name for name in mapped)
    assert not any("libtorch" in name for name in mapped)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++"])
def test_every_backend_gives_the_same_answer_and_map(
    server: Server, client: httpx.Client, reader: Reader, method: str
) -> None:
    expected = reader.answer(Request(FILM, {"explain": method}, ""))
    (here,) = expected.explanations
    for model in set(server.models) - {"patient", "knees"}:  # served from ONNX: efficientnet
        served = ask(client, FILM, model, **{"X-OsteoLens-Explain": method}).raise_for_status().json()
        assert served["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
        [there] = served["explanations"]
        assert (there["method"], there["target"]) == (method, here.target)
        assert there["peak"] == pytest.approx(here.peak, rel=1e-3)
        levels = [decode_map(map_png).astype(int) for map_png in (here.map_png, there["map_png"])]
        assert abs(levels[0] - levels[1]).max() <= 1


def test_32_calls_at_once_each_get_their_own_answer(client: httpx.Client, server: Server, reader: Reader) -> None:
    films = [encoded(knee_like(seed=number)) if number % 4 else f"no film {number}".encode() for number in range(32)]
    busy_before = {pid: sum(psutil.Process(pid).cpu_times()[:2]) for pid in workers(server)}
    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(lambda film: ask(client, film), films))
    assert len({response.headers["x-request-id"] for response in responses}) == 32
    for response, film in zip(responses, films, strict=True):
        body = response.json()
        if film.startswith(b"no film"):
            assert (response.status_code, body["error"]["code"]) == (415, "unsupported_type")
        else:
            assert body["id"] == response.headers["x-request-id"]
            expected = reader.answer(Request(film, {}, ""))
            assert body["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert len(busy_before) == 2
    assert all(sum(psutil.Process(pid).cpu_times()[:2]) > before for pid, before in busy_before.items())


def timed(client: httpx.Client, film: bytes) -> tuple[httpx.Response, float]:
    return ask(client, film, "patient"), time.monotonic()


def test_a_bad_row_of_a_batch_touches_nobody_else(server: Server, client: httpx.Client, reader: Reader) -> None:
    if server.engine != "TorchServe":
        pytest.skip("the other engine makes no batches")
    films = [encoded(knee_like(seed=number)) for number in range(BATCH - 1)]
    with ThreadPoolExecutor(BATCH) as pool:
        bad = pool.submit(ask, client, b"no film", "patient")
        responses = [pool.submit(timed, client, film) for film in films]
    assert bad.result().status_code == 415
    good = [response.result()[0].raise_for_status().json() for response in responses]
    finished = [response.result()[1] for response in responses]
    # It waits 20 seconds for eight requests: answers that come together were one batch.
    assert max(finished) - min(finished) < 10
    for answer, film in zip(good, films, strict=True):
        expected = reader.answer(Request(film, {}, ""))
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)


def test_options_as_headers_and_as_form_parts(client: httpx.Client) -> None:
    assert ask(client, FILM, **{"X-OsteoLens-Explain": "none"}).json()["explanations"] == []
    files = {"data": ("a.jpg", FILM), "data2": ("b.txt", b"no film"), "target": (None, "all")}
    del client.headers["Content-Type"]
    listed = client.post("/predictions/efficientnet", files=files)
    client.headers["Content-Type"] = "application/octet-stream"
    first, second = listed.raise_for_status().json()
    assert [explanation["target"] for explanation in first["explanations"]] == list(first["probabilities"])
    assert second["error"]["code"] == "unsupported_type"


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer wrong", "management"])
def test_without_the_right_token_nothing_is_answered(server: Server, token: str | None) -> None:
    assert server.key_file
    if token == "management":
        token = f"Bearer {read_keys(server.key_file)['management']['key']}"
    headers = {} if token is None else {"Authorization": token}
    refused = httpx.post(f"{server.url}/predictions/efficientnet", content=FILM, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (400, "InvalidKeyException")


def test_management_needs_its_own_token_and_changes_no_models(server: Server) -> None:
    assert httpx.get(f"{server.management_url}/models").status_code == 400
    with management(server, "inference") as http:
        assert http.get("/models").status_code == 400
    with management(server) as http:
        assert http.post("/models", params={"url": "efficientnet.mar"}).status_code == 405
        assert http.delete("/models/efficientnet").status_code == 405
        assert {model["modelName"] for model in http.get("/models").json()["models"]} == set(server.models)
        assert http.get("/models/nonsense").status_code == 404


def test_it_listens_on_loopback_alone_and_its_key_file_is_private(server: Server) -> None:
    assert server.key_file
    members = [psutil.Process(pid) for pid in server.processes()]
    sockets = [one for member in members for one in member.net_connections() if one.status == psutil.CONN_LISTEN]
    assert len(sockets) == (5 if server.engine == "TorchServe" else 3)  # gRPC has two
    assert {one.laddr.ip for one in sockets} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert server.key_file.stat().st_mode & 0o777 == 0o600


def bad_inputs() -> dict[str, bytes]:
    frames = [Image.fromarray(knee_like(seed=number)) for number in range(3)]
    gif = io.BytesIO()
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    png = bytearray(encoded(knee_like()))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    return {
        "empty": b"",
        "text": b"just some words about a knee",
        "html": b"<!DOCTYPE html><html><body>knee</body></html>",
        "truncated JPEG": FILM[: len(FILM) // 2],
        "PNG that claims 60,000 x 60,000": bytes(png),
        "animated GIF": gif.getvalue(),
        "PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "video": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64),
        "zip": b"PK\x03\x04" + bytes(64),
        "64 MiB and a byte": bytes(MAX_BYTES + 1),
    }


@pytest.mark.parametrize(("name", "data"), bad_inputs().items(), ids=bad_inputs())
def test_bad_input_gets_a_4xx_and_the_next_film_an_answer(client: httpx.Client, name: str, data: bytes) -> None:
    refused = ask(client, data)
    assert 400 <= refused.status_code < 500
    body = refused.json()
    assert body["schema"] == 1
    assert body["error"].keys() == {"code", "message", "hint"}
    assert ask(client, FILM).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Explain: nonsense", "Target: nonsense", "Age: old", "Sex: ?", "Weight-Kg: -1", "Height-M: nan", "Foo: 1"],
)
def test_a_wrong_option_gets_a_4xx_and_the_next_film_an_answer(client: httpx.Client, header: str) -> None:
    name, value = header.split(": ")
    refused = ask(client, FILM, **{f"X-OsteoLens-{name}": value})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_option")
    assert ask(client, FILM).status_code == 200


def test_a_web_form_and_parts_of_one_name_are_refused_by_name(client: httpx.Client) -> None:
    webp = encoded(knee_like(), "WEBP")
    form = ask(client, webp.replace(b"%", b"."), **{"Content-Type": "application/x-www-form-urlencoded"})
    assert (form.status_code, form.json()["error"]["code"]) == (415, "unsupported_type")
    assert "RIFF" not in form.text
    del client.headers["Content-Type"]
    twice = client.post("/predictions/efficientnet", files=[("data", ("a.jpg", FILM)), ("data", ("b.webp", webp))])
    client.headers["Content-Type"] = "application/octet-stream"
    assert (twice.status_code, twice.json()["error"]["message"]) == (400, "two form parts have one name")


def test_a_query_is_not_logged(server: Server, client: httpx.Client) -> None:
    assert server.folder
    assert client.post("/predictions/efficientnet?age=63&name=anna", content=FILM).status_code == 200
    log = (server.folder / "logs" / "access_log.log").read_text()
    assert '"POST /predictions/efficientnet HTTP/1.1" 200' in log
    assert not any(word in log for word in ("anna", "?"))


def test_real_answers_follow_the_published_description(server: Server, client: httpx.Client) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    responses = document["paths"]["/predictions/{model}"]["post"]["responses"]
    two = {"data": ("a.jpg", FILM), "data2": ("b.txt", b"no film")}
    url, key = f"{server.url}/predictions/efficientnet", {"Authorization": client.headers["Authorization"]}
    answers = [
        ask(client, FILM, **{"X-OsteoLens-Target": "all"}), ask(client, b""), ask(client, b"text"),
        ask(client, FILM, "nonsense"), ask(client, FILM, Authorization="Bearer wrong"),
        ask(client, encoded(knee_like(20, 20))),
        httpx.post(url, files=two, headers=key),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 400, 415, 404, 400, 422, 200]
    for answer in answers:
        schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), schema | {"components": document["components"]})


def test_the_maintained_engine_describes_itself_and_is_pinged_without_a_key(server: Server) -> None:
    if server.engine == "TorchServe":
        pytest.skip("TorchServe does neither")
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/ping").json() == {"status": "Healthy"}
        assert http.get("/ping", headers={"Authorization": "Bearer wrong"}).status_code == 400
        document = json.loads((ROOT / "docs" / "openapi.json").read_text())
        assert http.get("/openapi.json").json()["components"] == document["components"]
        assert "X-OsteoLens-Explain" in http.get("/docs").text
        assert [http.get(path).status_code for path in ("/nonsense", "/predictions/efficientnet")] == [404, 405]


def test_mixed_requests_get_no_wrong_and_no_doubled_answer(server: Server) -> None:
    assert server.key_file
    command = [sys.executable, ROOT / "benchmarks" / "soak.py", "--requests", "200", "--url", server.url]
    run = subprocess.run([*command, "--key-file", server.key_file], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "200 answers" in run.stdout
    assert "wrong: 0" in run.stdout


def test_an_oversized_body_is_refused_by_the_front_end(server: Server, client: httpx.Client) -> None:
    refused = ask(client, bytes(int(server.settings["max_request_size"]) + 1))
    assert refused.status_code == 413
    if server.engine != "TorchServe":
        assert refused.json()["error"]["code"] == "too_large"
    assert ask(client, FILM).status_code == 200


def test_the_logs_stay_small_and_hold_no_film(server: Server, client: httpx.Client) -> None:
    assert server.folder
    logs = [path for path in (server.folder / "logs").glob("*.log") if path.name != "access_log.log"]
    assert logs
    before = [path.read_bytes() for path in logs]
    for _ in range(20):
        ask(client, FILM).raise_for_status()
    # What curl --data-binary sends unless it is given a content type: TorchServe fails to read it as a form.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(client, b"part of a film=%zz", **form).status_code == (500 if server.engine == "TorchServe" else 415)
    assert [path.read_bytes() for path in logs] == before


def test_a_killed_worker_comes_back(server: Server, client: httpx.Client) -> None:
    victim, survivor = workers(server)
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 180
    while victim in (now := workers(server)) or set(now.values()) != {"READY"}:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    assert len(now) == 2
    assert survivor in now
    with ThreadPoolExecutor(8) as pool:
        assert {response.status_code for response in pool.map(lambda _: ask(client, FILM), range(16))} == {200}


def test_a_renewed_key_is_read_again(server: Server, client: httpx.Client) -> None:
    """Last in this file: it makes the old key useless."""
    old = server.inference_key
    with management(server, "API") as http:
        http.get("/token", params={"type": "inference"}).raise_for_status()
    assert server.inference_key != old
    assert ask(client, FILM).status_code == 400
    assert ask(client, FILM, Authorization=f"Bearer {server.inference_key}").status_code == 200
