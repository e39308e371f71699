"""What `make weaknesses` makes of pip-audit's report, and of none."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "weaknesses.py"
WEAK = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found"}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("weaknesses", SCRIPT)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def fake(folder: Path, code: str) -> str:
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\nfor last; do :; done\n{code}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        (
            [WEAK, SOUND, UNKNOWN],
            1,
            "2 of 3 packages compared with the database, 1 with known weaknesses\na 1: CVE-1, fixed in 2",
        ),
        ([SOUND], 0, "1 of 1 packages compared"),
        ([UNKNOWN], 0, "nothing is said about them"),
    ],
)
def test_a_report_is_summed_up(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], report: list[object], status: int, said: str
) -> None:
    pip_audit = fake(tmp_path, f"echo '{json.dumps({'dependencies': report})}' > \"$last\"; exit 1")
    assert script.main(pip_audit) == status
    assert said in capsys.readouterr().out


def test_without_a_database_it_says_so_and_passes(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(fake(tmp_path, "echo no route to the host >&2; exit 1")) == 0
    assert "cannot be reached: no route to the host" in capsys.readouterr().out
