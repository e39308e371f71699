"""What commands print, and how they end."""

import io
import os
import sys

import pytest

from osteolens.console import Status, one_line_errors, packages_of
from osteolens.errors import DataError, OsteoLensError


def test_a_name_that_the_terminal_cannot_show_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))

    @one_line_errors
    def command() -> None:
        print("knie ü " + os.fsdecode(b"\xff"))

    command()
    assert raw.getvalue() == b"knie \\xfc \\udcff\n"


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @one_line_errors
    def command() -> None:
        raise DataError("no such film")

    with pytest.raises(SystemExit) as caught:
        command()
    assert caught.value.code == Status.USAGE
    assert capsys.readouterr().err == "error: no such film\n"


def test_a_missing_package_names_its_extra_and_a_missing_module_of_ours_is_a_fault() -> None:
    hint = r"the audit needs absent: pip install 'osteolens\[train\]'"
    with pytest.raises(OsteoLensError, match=hint), packages_of("train", "the audit"):
        raise ModuleNotFoundError("No module named 'absent'", name="absent")
    with pytest.raises(ModuleNotFoundError), packages_of("train", "the audit"):
        raise ModuleNotFoundError("No module named 'osteolens.absent'", name="osteolens.absent")


def test_ctrl_c_is_a_status_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    @one_line_errors
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        command()
    assert caught.value.code == Status.INTERRUPTED
    assert capsys.readouterr().err == "stopped\n"
