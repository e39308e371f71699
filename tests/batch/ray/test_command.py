"""What the command says and how it ends."""

import builtins

import pytest
from support.ray import make_films

from osteolens import cluster as session
from osteolens.batch.answerers.ray import engine
from osteolens.cli.batch import run_command
from osteolens.console import Status
from osteolens.errors import BatchError


@pytest.fixture
def options(models):
    places = {"store": models / "none", "weights": models / "weights", "exports": models / "build"}
    return {"models": ["efficientnet"], "progress": "quiet", **places}


def call(folder, options):
    return run_command(lambda: engine.run([folder / "films"], folder / "out", **options), folder / "out")


@pytest.mark.usefixtures("no_ray")
def test_the_status_tells_whether_all_films_have_their_answer(tmp_path, options, capsys):
    make_films(tmp_path / "films", 2)
    assert call(tmp_path, options) == 0
    assert capsys.readouterr().err.startswith("2 answered, 0 failed; 2 answers in ")
    (tmp_path / "films" / "bad.png").write_bytes(b"no picture")
    assert call(tmp_path, options) == 3
    assert capsys.readouterr().err.startswith("2 answered, 1 failed; 0 answers in ")


@pytest.mark.usefixtures("no_ray")
def test_a_stop_by_hand_says_how_to_go_on(tmp_path, options, capsys, monkeypatch):
    def stopping(todo, job):
        raise KeyboardInterrupt

    make_films(tmp_path / "films", 1)
    monkeypatch.setattr(engine, "answered", stopping)
    assert call(tmp_path, options) == Status.INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().err


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    ordinary = builtins.__import__

    def without_ray(name, *rest):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(BatchError, match=r"needs ray: pip install 'osteolens\[scale\]'"), session.ray_session():
        pass
