import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from PIL import Image

OSTEOLENS = [str(Path(sys.executable).parent / "osteolens")]


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OSTEOLENS, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "other").mkdir(parents=True)
    (folder / "a.png").write_bytes(encoded(knee_like(seed=1)))
    (folder / "other" / "a.jpg").write_bytes(encoded(knee_like(seed=2), "JPEG"))
    (folder / "bad [1].txt").write_text("not a film")
    return folder


def test_predict_local_writes_answers_and_overlays_and_reports_failures(films: Path, model_folder: Path) -> None:
    done = run(
        "predict", "a.png", "other/a.jpg", "bad [1].txt", "absent.png", "--local", "--model", model_folder,
        "--target", "all", "--json", cwd=films,
    )  # fmt: skip
    assert done.returncode == 3
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == ["a.png", "other/a.jpg", "bad [1].txt", "absent.png"]
    assert [row.get("error", {}).get("code") for row in rows] == [None, None, "unsupported_type", "FileNotFoundError"]
    assert rows[0]["answer"]["probabilities"] != rows[1]["answer"]["probabilities"]
    written = {path.name for path in (films / "answers").iterdir()}
    maps = {f"{name}.{label}.png" for name in ("a", "a-2") for label in ("normal", "osteopenia", "osteoporosis")}
    assert written == {"a.json", "a-2.json"} | maps
    of = {"file": str(films / "other" / "a.jpg")}
    assert json.loads((films / "answers" / "a-2.json").read_text()) == rows[1]["answer"] | of
    with Image.open(films / "answers" / "a.normal.png") as overlay:
        assert overlay.width > 240
        assert overlay.height > 300


def test_predict_prints_a_table(films: Path, model_folder: Path) -> None:
    done = run("predict", "a.png", "bad [1].txt", "--local", "--model", model_folder, "--explain", "none", cwd=films)
    assert done.returncode == 3
    assert "a.png" in done.stdout
    assert "bad [1].txt" in done.stdout
    assert "plain text" in done.stdout
    assert "not a diagnostic device" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict", "a.png", "--server", "http://127.0.0.1:9"], 4, "no answer from http://127.0.0.1:9"),
        (["predict", "a.png", "--local", "--model", "absent"], 2, "no card.json in absent"),
        (["predict", "a.png", "--key-file", "absent.json"], 2, "there is no key file absent.json"),
        (["card", "show", "absent"], 2, "no card.json in absent"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments: list[str], status: int, message: str, films: Path) -> None:
    done = run(*arguments, cwd=films)
    assert done.returncode == status
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_card_show(model_folder: Path, tmp_path: Path) -> None:
    table = run("card", "show", model_folder, cwd=tmp_path)
    assert table.returncode == 0
    assert "tf_efficientnet_lite0" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert "…" not in table.stdout
    card = json.loads(run("card", "show", model_folder, "--json", cwd=tmp_path).stdout)
    assert card == json.loads((model_folder / "card.json").read_text())


@pytest.mark.parametrize(("port", "bound"), [("70000", "65535"), ("-1", "0")])
def test_a_port_that_does_not_exist_is_refused_as_wrong_usage(port: str, bound: str, tmp_path: Path) -> None:
    done = run("serve", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(rf"'--port'.*\b{bound}\b", done.stderr, re.DOTALL)
    assert "Traceback" not in done.stderr
