"""What a running server tells Prometheus, and that the dashboard and the alerts read just that."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import yaml
from conftest import encoded, knee_like
from expressions import OF_A_SCRAPE, OF_PROMETHEUS, expressions, read_by
from metrics import Sample, families, grown, values
from stores import ROOT

from osteolens.serving.torchserve import Server

pytestmark = pytest.mark.slow

FILM = encoded(knee_like(), "JPEG")
MODEL = "efficientnet"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.inference_key}"}) as opened:
        yield opened


def ask(client: httpx.Client, film: bytes, **headers: str) -> httpx.Response:
    return client.post(f"/predictions/{MODEL}", content=film, headers=headers)


def of(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


def films_in(counts: Counter[Sample]) -> dict[Sample, float]:
    return {sample: count for sample, count in counts.items() if sample[0] == "osteolens_films_total" and count}


def test_every_film_of_two_busy_workers_is_counted_once(server: Server, client: httpx.Client) -> None:
    before = values(server)
    films = [FILM] * 40 + [b"no film"] * 7 + [FILM[: len(FILM) // 2]] * 3
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda film: ask(client, film), films))
    assert ask(client, FILM, **{"X-OsteoLens-Age": "old"}).status_code == 400
    form = {"data": ("a.jpg", FILM), "data2": ("b.txt", b"no film")}
    assert client.post(f"/predictions/{MODEL}", files=form).status_code == 200

    label = responses[0].json()["label"]
    one = {"model": MODEL, "outcome": "refused", "label": "none"}
    expected = {
        of("osteolens_films_total", **one | {"outcome": "answered", "label": label, "code": "none"}): 41,
        of("osteolens_films_total", **one, code="unsupported_type"): 8,
        of("osteolens_films_total", **one, code="unreadable_image"): 3,
        of("osteolens_films_total", **one, code="invalid_option"): 1,
    }
    since = grown(server, before, lambda counts: sum(films_in(counts).values()) >= 53)
    assert films_in(since) == expected
    for step in ("decode", "model", "explain"):
        assert since[of("osteolens_step_seconds_count", model=MODEL, step=step)] == 41
    told = sum(response.json()["timing_ms"]["model"] for response in responses if response.is_success) / 1000
    counted = since[of("osteolens_step_seconds_sum", model=MODEL, step="model")]
    assert told < counted < told * 1.5  # one film more than those whose answers were summed
    assert since[of("ts_inference_requests_total", model_name=MODEL, model_version="default")] == 52


def test_every_answer_carries_the_digest_of_its_body(client: httpx.Client) -> None:
    for film, status in ((FILM, 200), (b"no film", 415), (b"", 400)):
        response = ask(client, film)
        assert response.status_code == status
        digest = base64.b64encode(hashlib.sha256(response.content).digest()).decode()
        assert response.headers["Content-Digest"] == f"sha-256=:{digest}:"


def test_what_is_served_is_what_metrics_yaml_declares(server: Server) -> None:
    declared = yaml.safe_load((ROOT / "handlers" / "metrics.yaml").read_text())
    named = {one["name"] for part in declared.values() for metrics in part.values() for one in metrics}
    assert families(server) == named


@pytest.mark.parametrize("expression", expressions())
def test_the_dashboard_and_the_alerts_read_what_is_served(
    server: Server, client: httpx.Client, expression: str
) -> None:
    ask(client, FILM)
    ask(client, b"no film")
    served: dict[str, set[str]] = {name: set() for name in families(server)}  # nothing counted yet: Requests5XX
    for name, labels in values(server):
        served[name] = served.get(name, set()) | {label for label, _ in labels}
    for metric, labels in read_by(expression).items():
        if metric not in OF_PROMETHEUS:
            assert labels - OF_A_SCRAPE <= served[metric]
