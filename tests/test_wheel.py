"""The wheel in an environment of its own and an empty folder, without a checkout and without PyTorch."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
UV = Path(sys.executable).with_name("uv")
FILM = ROOT / "samples" / "knee.jpg"


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of the environment that the wheel is installed into, with the extras `serve` and `web`."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():  # setuptools builds in the folder that it builds from
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", built, source], check=True)
    (wheel,) = built.glob("*.whl")
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([UV, "venv", "--quiet", "--allow-existing", "--python", sys.executable, environment], check=True)
    shutil.rmtree(source)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python",
         "--constraint", ROOT / "constraints.txt", f"{wheel}[serve,web]"],
        check=True,
    )  # fmt: skip
    return environment / "bin"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with a home for OsteoLens beside it, and nothing in the environment that says more."""
    for name in [name for name in os.environ if name.startswith("OSTEOLENS_") or name == "PYTHONPATH"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OSTEOLENS_HOME", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


def output(*command: str | Path, status: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_a_film_is_answered_without_a_server(binaries: Path, empty: Path) -> None:
    code = "from importlib.util import find_spec; print(find_spec('torch'), find_spec('osteolens').origin)"
    torch, origin = output(binaries / "python", "-c", code).split()
    assert torch == "None"
    assert Path(origin).is_relative_to(binaries.parent)
    command = [binaries / "osteolens", "predict", FILM, "--local", "--model", "yolov5"]
    assert "knee.jpg" in output(*command)
    assert sorted(path.suffix for path in (empty / "answers").iterdir()) == [".json", ".png"]
    assert "osteolens[explain]" in output(*command, "--explain", "gradcam++", status=3)
    assert [path.name for path in empty.iterdir()] == ["answers"]


def test_the_hint_is_true(binaries: Path) -> None:
    """`pip install 'osteolens[explain]'` completes what is installed, though no index has OsteoLens itself."""
    command = [UV, "pip", "install", "--dry-run", "--python", binaries / "python", "osteolens[explain]"]
    assert "torch" in subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.fixture
def server(binaries: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the app beside a running server; Ctrl-C stops both."""
    monkeypatch.setenv("OSTEOLENS_WEB", "127.0.0.1:0")
    process = subprocess.Popen(
        [binaries / "osteolens", "serve", "--web", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("Listening on"):
            monkeypatch.setenv("OSTEOLENS_URL", line.split()[2])
        if line.startswith("The app: "):
            break
    else:
        pytest.fail(f"it ended:\n{''.join(printed)}")
    yield printed[-1].split()[-1]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_server_and_the_app_run_in_an_empty_folder(binaries: Path, empty: Path, server: str) -> None:
    home = empty.with_name("home")
    assert {path.stem for path in (home / "model_store").glob("*.mar")} == {"efficientnet", "knee", "knee_oa", "yolov5"}
    answer = json.loads(output(binaries / "osteolens", "predict", FILM, "--model", "knee", "--json"))[0]["answer"]
    assert answer["model"]["name"] == "knee"
    refused = output(binaries / "osteolens", "predict", FILM, "--explain", "gradcam++", "--json", status=3)
    assert json.loads(refused)[0]["error"]["code"] == "explanation_not_installed"
    for page in ("accounts/login", "static/osteolens.css"):
        assert httpx.get(server + page, follow_redirects=True).is_success
    assert {"key_file.json", "logs", "web_data"} <= {path.name for path in home.iterdir()}
    assert home.stat().st_mode & 0o077 == 0
    assert [path.name for path in empty.iterdir()] == ["answers"]
