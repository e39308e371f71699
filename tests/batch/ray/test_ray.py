"""Real clusters: a machine that is lost, a driver that is killed."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from support.ray import call, check_answers, make_films, results

from osteolens.batch.answerers.ray import engine

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two machines of one core each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200, "health_check_failure_threshold": 3}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
    running = Cluster(initialize_head=True, head_node_args=head)
    try:
        running.add_node(num_cpus=1)
        ray.init(running.address, log_to_driver=False)
        yield running
    finally:
        ray.shutdown()
        running.shutdown()


def places_of_actors() -> set[str]:
    """The machines on which actors are at work."""
    actors = ray._private.state.actors().values()
    return {actor["Address"]["NodeID"] for actor in actors if actor["State"] == "ALIVE"}


def test_a_machine_that_is_lost_costs_no_film(cluster, tmp_path, models, monkeypatch):
    monkeypatch.setattr(engine, "BATCH_FILMS", 5)
    films = make_films(tmp_path / "films", 200)
    answered, (lost,) = engine.answered, cluster.worker_nodes
    at_work: list[set[str]] = []

    def losing(todo, job):
        for number, rows in enumerate(answered(todo, job)):
            if number == 1:
                deadline = time.monotonic() + 60
                while lost.node_id not in places_of_actors() and time.monotonic() < deadline:
                    time.sleep(0.1)  # on a busy machine its actor is still being started
                at_work.append(places_of_actors())
                cluster.remove_node(lost, allow_graceful=False)
            yield rows

    monkeypatch.setattr(engine, "answered", losing)
    summary = call([tmp_path / "films"], tmp_path / "out", models)
    assert lost.node_id in at_work[0]
    assert [node["NodeID"] for node in ray.nodes() if node["Alive"]] == [cluster.head_node.node_id]
    assert (summary.status, summary.totals.answered, summary.answers) == (0, 200, 200)
    check_answers(results(tmp_path / "out"), films, models)


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from osteolens.batch.answerers.ray import engine
from support.ray import call
engine.BATCH_FILMS = 5
call([Path({films!r})], Path({out!r}), Path({models!r}))
"""


def answered_in(out: Path) -> dict[str, str]:
    """When which film was answered, as the journal says."""
    with closing(sqlite3.connect(out / "progress.sqlite")) as journal:
        try:
            return dict(journal.execute("SELECT path, answered_at FROM rows").fetchall())
        except sqlite3.OperationalError:  # not made yet
            return {}


def test_a_killed_driver_loses_no_answer(tmp_path, models, request):
    films, out = make_films(tmp_path / "films", 200), tmp_path / "out"
    out.mkdir()
    tests = str(Path(__file__).parents[2])
    code = DRIVER.format(tests=tests, films=str(tmp_path / "films"), out=str(out), models=str(models))
    driver = subprocess.Popen([sys.executable, "-c", code])
    while not answered_in(out) and driver.poll() is None:
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    before = answered_in(out)
    assert 0 < len(before) < 200

    request.getfixturevalue("no_ray")  # what goes on is the same wherever the actors are
    call([tmp_path / "films"], out, models)
    check_answers(results(out), films, models)
    assert answered_in(out).items() >= before.items()
