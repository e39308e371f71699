import re
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from osteolens import places


def test_a_checkout_is_served_from_its_own_files_and_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.HOME_VARIABLE, raising=False)
    assert places.shipped() == ROOT
    assert places.home() == Path()


def test_a_wheel_is_served_from_the_package_and_a_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(places.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(places, "_IN_WHEEL", tmp_path / "shipped")
    assert places.shipped() == tmp_path / "shipped"
    assert places.home().name == "osteolens"


def test_the_option_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.HOME_VARIABLE, "~/lens")
    assert places.home() == Path.home() / "lens"
    assert places.home(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert places.home(Path("here")) == tmp_path / "here"


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.py"), *ROOT.glob("web/**/*.py")]


def packages(extra: str) -> set[str]:
    """The packages of an extra and of those that it names."""
    names: set[str] = set()
    for wish in EXTRAS[extra]:
        if inner := re.match(r"osteolens\[(.*)\]", wish):
            names |= {name for other in inner[1].split(",") for name in packages(other)}
        else:
            names.add(re.split(r"[^\w.-]", wish)[0])
    return names


def test_every_hint_names_extras_that_exist() -> None:
    hints = {
        extra
        for page in PAGES
        for names in re.findall(r"osteolens\[([a-z0-9,]+)\]", page.read_text())
        for extra in names.split(",")
    }
    assert {"serve", "explain", "web", "batch"} <= hints
    assert hints <= EXTRAS.keys()


@pytest.mark.parametrize("extra", ["serve", "web", "batch", "scale", "dicom", "heif"])
def test_what_answers_from_graphs_installs_no_pytorch(extra: str) -> None:
    for package in packages(extra):
        assert not re.match(r"torch$|torchvision|timm|grad-cam|ultralytics", package)
    assert "torch" in packages("explain")
