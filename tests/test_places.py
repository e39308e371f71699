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
