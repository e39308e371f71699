"""The commands of the README and of docs/ do what is said of them, run as they are written there."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import httpx
import numpy as np
import pytest
import typer
from conftest import SMALL, encoded, knee_like
from support.training import InThisProcess
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.films.overlay import decode_map
from osteolens.labels import LABELS
from osteolens.options import OPTION_NAMES, Method, header_name
from osteolens.serving.ports import free_ports
from osteolens.training import cross_validation

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
# In the order in which a newcomer reads them; a command that stands twice is one.
TEXT = "\n".join([README, PAGES["getting-started.md"], PAGES["training.md"], *PAGES.values()])
COMMANDS = list(
    dict.fromkeys(line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines())
)


def commands(*words: str) -> list[str]:
    """The documented commands that contain one of some words; each word must occur."""
    assert all(any(word in command for command in COMMANDS) for word in words)
    return [command for command in COMMANDS if any(word in command for word in words)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout in a folder of their own, with the running virtual environment."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(folder / name, (0, 0))  # older than the stamps: nothing is installed again
    for stamp in (".uv", ".serve", ".dev"):
        (Path(sys.prefix) / stamp).touch()
    return folder


def run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_here(command: str) -> None:
    """Run a documented command in this process: its programs of their own would each import PyTorch for seconds."""
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/osteolens"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{command}\n{done.output}"


@pytest.fixture(scope="module")
def port(checkout: Path) -> Iterator[int]:
    """Where `make serve` listens; Ctrl-C stops it afterwards."""
    assert "make serve" in COMMANDS
    (port,) = free_ports(1)
    process = subprocess.Popen(
        ["make", "serve"],
        cwd=checkout,
        # The other models' archives take a minute; tests/test_wheel.py builds them all.
        env=os.environ | {"OSTEOLENS_PORT": str(port), "OSTEOLENS_WEB": "127.0.0.1:0", "MODELS": "efficientnet"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("The app: "):
            break
    else:
        pytest.fail(f"make serve ended:\n{''.join(printed)}")
    app = printed[-1].split()[-1]
    assert httpx.get(f"{app}accounts/login").is_success
    yield port
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=180)
    assert not (checkout / "key_file.json").exists()
    for address in (f"http://127.0.0.1:{port}/ping", app):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


@pytest.mark.slow
def test_serve_and_predict(checkout: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOLENS_URL", f"http://127.0.0.1:{port}")
    (predict,) = commands("osteolens predict samples/knee.jpg")[:1]
    assert "knee.jpg" in run(predict, checkout)
    sent = json.loads((checkout / "answers" / "knee.json").read_text())
    assert (checkout / "answers" / f"knee.{sent['label']}.png").is_file()
    key, curl = commands("KEY=", "curl")
    by_curl = json.loads(run(f"{key}\n{curl}".replace(":8080", f":{port}"), checkout))
    assert by_curl["probabilities"] == pytest.approx(sent["probabilities"], abs=1e-5)
    run(commands("predict samples/knee.jpg --local")[0], checkout)
    local = json.loads((checkout / "answers" / "knee.json").read_text())
    assert local["probabilities"] == pytest.approx(sent["probabilities"], abs=0.01)  # int8 there, PyTorch here
    (here,), (there,) = local["explanations"], sent["explanations"]
    assert here["target"] == there["target"]
    maps = [decode_map(explanation["map_png"]).ravel() / 255 for explanation in (here, there)]
    assert maps[0] @ maps[1] > 0.99 * np.linalg.norm(maps[0]) * np.linalg.norm(maps[1])
    assert "efficientnet" in run(commands("card show")[0], checkout)


@pytest.mark.slow
@pytest.mark.usefixtures("few_trees")
def test_train_export_and_archive(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(cross_validation, "ProcessPoolExecutor", lambda *_: InThisProcess())
    with (checkout / "films.csv").open("w") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "label", "group", "t_score", "age", "sex"])
        for number in range(36):
            name = f"film-{number}.png"
            (checkout / name).write_bytes(encoded(knee_like(seed=number)))
            table.writerow([name, LABELS[number % 3], f"patient-{number}", -number % 3, 40 + number, "female"])
    settings = checkout / "train" / "configs" / "efficientnet.toml"
    short = re.sub(r"(?m)^(epochs) = \d+", r"\1 = 1", settings.read_text())
    short = re.sub(r"(?m)^(height|width) = \d+", r"\1 = 64", short)
    short = re.sub(r'(?m)^architecture = ".*"', f'architecture = "{SMALL}"', short)
    short = re.sub(r"(?m)^pretrained = true", "pretrained = false", short)
    words = ("epochs = 1\n", "height = 64", "width = 64", SMALL, "pretrained = false")
    assert [short.count(word) for word in words] == [1] * len(words)
    settings.write_text(short)
    here = "osteolens audit", "osteolens train", "osteolens crossval", "osteolens report", "osteolens quantise"
    for command in commands("make install", *here, "osteolens export", "osteolens archive"):
        if any(name in command for name in here):
            run_here(command)
        else:
            run(command, checkout)  # they write below the checkout that the program finds itself in
    card = json.loads((checkout / "runs" / "mine" / "model" / "card.json").read_text())
    assert card["preprocess"]["height"] == 64
    assert (checkout / "runs" / "crossed" / "model" / "card.json").is_file()
    assert "Research software" in (checkout / "runs" / "crossed" / "report.html").read_text()
    assert {path.name for path in (checkout / "model_store").glob("mine*")} == {"mine.mar", "mine.mar.sha256"}


def test_every_documented_command_is_tested() -> None:
    tested = (
        "make serve", "osteolens predict samples/knee.jpg", "KEY=", "curl -T", "osteolens card show", "make install",
        "osteolens audit films.csv",
        "osteolens train --config", "osteolens crossval --config", "osteolens report runs/crossed",
        "osteolens quantise", "osteolens export", "osteolens archive",
        "osteolens batch",  # tests/e2e/test_batch.py
        "osteolens bench",  # tests/bench
        "osteolens evaluate", "osteolens recalibrate", "osteolens study",  # below, tests/reports and tests/study
        "web/manage.py add_account",  # tests/web/test_accounts.py
        "source .venv/bin/activate", "torchserve --start --ts-config config.properties",  # tests/e2e
    )  # fmt: skip
    assert [command for command in COMMANDS if not any(word in command for word in tested)] == []


def test_commands_for_other_places_are_understood() -> None:
    """Names of options and kinds of values; what the commands do is tested on smaller films."""
    group = typer.main.get_command(app)
    for command in commands("osteolens evaluate", "osteolens recalibrate", "osteolens study"):
        name, *arguments = shlex.split(command)[1:]
        group.get_command(None, name).make_context(name, arguments)
    options = set(re.findall(r"(?m)^\| `(--[\w-]+)", PAGES["validate-at-your-site.md"]))
    named = {option for parameter in group.get_command(None, "evaluate").params for option in parameter.opts}
    assert "--leave-out" in options <= named


def test_every_option_and_method_is_in_the_contract() -> None:
    contract = PAGES["http-contract.md"]
    for word in (*get_args(Method), *OPTION_NAMES, header_name("explain"), header_name("target"), header_name("age")):
        assert f"`{word}" in contract, word


def test_every_source_file_that_is_named_exists() -> None:
    texts = {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "SECURITY.md", "MODEL_CARD.md")}
    named = {
        (page, path)
        for page, text in ({"README.md": README} | PAGES | texts).items()
        for path in re.findall(r"(?:[\w.-]+/)*[\w-]+\.py\b", text)
    }
    assert ("architecture.md", "films/sniff.py") in named
    roots = (ROOT, ROOT / "src", ROOT / "src" / "osteolens")
    assert sorted(pair for pair in named if not any((root / pair[1]).is_file() for root in roots)) == []


def test_every_package_has_its_place_in_the_tables() -> None:
    packages = {path.parent.name for path in (ROOT / "src" / "osteolens").glob("*/__init__.py")}
    assert "films" in packages
    table = (ROOT / "CONTRIBUTING.md").read_text()
    (picture, *_) = re.findall(r"```\n(.*?)```", PAGES["architecture.md"], re.DOTALL)
    assert {name for name in packages if f"`{name}/`" not in table or not re.search(rf"\b{name}\b", picture)} == set()


def test_every_model_has_its_page() -> None:
    models = {path.parent.name for path in (ROOT / "weights").glob("*/card.json")}
    assert {path.stem for path in (ROOT / "docs" / "models").glob("*.md")} == models
    for name in models:
        assert f"models/{name}\n" in PAGES["index.md"]


def test_the_readme_is_a_front_door() -> None:
    assert len(README.splitlines()) <= 130
    linked = re.findall(r"\]\(([^)#]+)", README)
    assert [link for link in linked if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_every_page_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in tmp_path.glob("*.html")} >= {name.removesuffix(".md") for name in PAGES}
