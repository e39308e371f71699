import csv

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from osteolens.training.checkpoint import Progress
from osteolens.training.logs import RunLog, draw_curves

HISTORY = [
    {"epoch": 1, "learning rate": 0.1, "training loss": 1.5, "validation loss": 1.25, "validation accuracy": 0.5},
    {"epoch": 2, "learning rate": 0.05, "training loss": 1.0, "validation loss": 1.5, "validation accuracy": 0.75},
]


def read_log(folder):
    with (folder / "log.csv").open() as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def scalars(folder):
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_continued_run_has_no_gaps_and_no_doubles(tmp_path):
    first = RunLog(tmp_path, [])
    first.add(HISTORY[:1])
    first.close()
    second = RunLog(tmp_path, HISTORY[:1])
    second.add(HISTORY)
    second.close()
    assert read_log(tmp_path) == HISTORY
    logged = scalars(tmp_path)
    [name] = [tag for tag in logged if tag.startswith("validation") and tag.endswith("loss")]
    assert logged[name] == [(1, 1.25), (2, 1.5)]
    assert len(logged) == len(HISTORY[0]) - 1


@pytest.mark.parametrize("keys", [list(HISTORY[0]), ["epoch", "learning rate", "training loss", "validation loss"]])
def test_curves_have_a_panel_per_kind_of_figure(tmp_path, keys):
    progress = Progress(history=[{key: row[key] for key in keys} for row in HISTORY])
    draw_curves(progress, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (540 * (len(keys) - 2), 600)
