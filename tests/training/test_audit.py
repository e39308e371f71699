"""`osteolens audit` as users call it: each kind of leak is planted in a small set and found; a clean set passes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.films import write_rows
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status

pytestmark = pytest.mark.usefixtures("few_trees")
SIDE = 320


def texture(seed: int) -> NDArray[np.uint8]:
    """A picture like no other: grey structures of several sizes."""
    random = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE)), (0, 0), sigma) * sigma for sigma in (2, 5, 14)]
    field = np.sum(layers, axis=0)
    return np.clip(128 + 45 * field / field.std(), 0, 255).astype(np.uint8)


def write(folder: Path, films: dict[str, tuple[NDArray[np.uint8], str, str, str]]) -> Path:
    """Pictures and their table: name to picture, label, group and side of the split."""
    for name, (pixels, *_) in films.items():
        cv2.imwrite(str(folder / name), pixels)
    rows = [
        {"file": name, "label": label, "group": group, "split": side} for name, (_, label, group, side) in films.items()
    ]
    return write_rows(folder / "films.csv", rows)


def clean() -> dict[str, tuple[NDArray[np.uint8], str, str, str]]:
    labels = ("normal", "osteoporosis")
    return {
        f"{seed}.png": (texture(seed), labels[seed % 2], f"g{seed}", "train" if seed < 12 else "test")
        for seed in range(16)
    }


def audit(table: Path, *options: str) -> tuple[int, dict, str]:
    out = table.parent / "audit"
    done = CliRunner().invoke(app, ["audit", str(table), "--out", str(out), *options])
    report = json.loads((out / "audit.json").read_text()) if (out / "audit.json").exists() else {}
    return done.exit_code, report, done.output


def pairs(report: dict) -> set[frozenset[str]]:
    return {frozenset((match["first"]["file"], match["second"]["file"])) for match in report["matches"]}


@pytest.mark.slow
def test_a_clean_set_passes(tmp_path):
    status, report, _ = audit(write(tmp_path, clean()))
    assert status == 0
    assert not report["leaks"]
    assert report["matches"] == []
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert page.count("<html") == 1
    assert "http://" not in page  # everything is inside the file


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels,
        lambda pixels: pixels[:, ::-1],
        lambda pixels: cv2.resize(pixels, (200, 200), interpolation=cv2.INTER_AREA),
        lambda pixels: pixels[40:260, 60:300],
        lambda pixels: cv2.warpAffine(pixels, cv2.getRotationMatrix2D((160, 160), 4, 1), (SIDE, SIDE)),
        lambda pixels: np.rot90(pixels),
    ],
    ids=["exact", "mirrored", "resized", "cropped", "rotated", "turned"],
)
def test_a_copy_on_the_other_side_is_a_leak(tmp_path, change):
    films = clean()
    films["planted.png"] = (np.ascontiguousarray(change(films["3.png"][0])), "osteoporosis", "other", "test")
    status, report, _ = audit(write(tmp_path, films))
    assert status == Status.FINDINGS
    assert report["leaks"]
    assert pairs(report) == {frozenset(("3.png", "planted.png"))}


@pytest.mark.slow
def test_a_group_on_both_sides_is_a_leak_and_a_copy_on_one_side_is_not(tmp_path):
    films = clean()
    films["again.png"] = (films["3.png"][0], "normal", "g3", "train")  # and under another label
    status, report, _ = audit(write(tmp_path, films))
    assert status == 0
    assert "same-picture-two-labels" in {finding["kind"] for finding in report["findings"]}
    films["0.png"] = (*films["0.png"][:2], "g12", "train")
    status, report, output = audit(write(tmp_path, films))
    assert status == Status.FINDINGS
    assert "g12" in json.dumps(report["findings"])
    assert "g12" in output


@pytest.mark.slow
def test_an_unreadable_film_is_a_finding_and_a_wrong_table_an_error(tmp_path):
    films = clean()
    table = write(tmp_path, films)
    (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:400])
    (tmp_path / "6.png").unlink()
    status, report, _ = audit(table)
    assert status == 0
    problems = {picture["file"] for picture in report["pictures"] if picture["problem"]}
    assert problems == {"5.png", "6.png"}
    status, _, output = audit(table, "--label-column", "diagnosis")
    assert status == 2
    assert "diagnosis" in output
