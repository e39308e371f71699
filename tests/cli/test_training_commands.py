"""`train` and `crossval`: what they hand to the library, and what they print for machines."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.training import cross_run, fit
from osteolens.training.config import Configuration

SETTINGS = Path(__file__).parents[2] / "train" / "configs" / "efficientnet.toml"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The arguments of each training; none is carried out."""
    calls: list[dict[str, Any]] = []

    def train(config: Configuration, source: Path, out: Path, **rest: Any) -> None:
        print("a table for people")
        out.mkdir(parents=True, exist_ok=True)
        (out / "metrics.json").write_text('{"auroc": 0.5}\n')
        calls.append({"config": config, "source": source, "out": out, **rest})

    monkeypatch.setattr(fit, "fit", train)
    monkeypatch.setattr(cross_run, "run", train)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize("command", ["train", "crossval"])
def test_settings_have_defaults_named_after_the_table(command: str, called: list[dict[str, Any]]) -> None:
    done = CliRunner().invoke(app, [command, "-d", "hip/knees.csv", "-o", "runs/mine"])
    assert (done.exit_code, done.stdout) == (0, "a table for people\n")
    (call,) = called
    assert (call["source"], call["out"], call["name"]) == (Path("hip/knees.csv"), Path("runs/mine"), "mine")
    assert call["config"] == Configuration.model_validate({"dataset": {"name": "knees"}})


@pytest.mark.parametrize("command", ["train", "crossval"])
def test_json_goes_to_standard_output_and_the_rest_to_standard_error(
    command: str, called: list[dict[str, Any]]
) -> None:
    arguments = [command, "-c", str(SETTINGS), "-d", "a.csv", "-o", "out", "--name", "other", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert json.loads(done.stdout) == {"auroc": 0.5}
    assert done.stderr == "a table for people\n"
    (call,) = called
    assert (call["name"], call["config"].dataset.name) == ("other", "Knee films of our own")
