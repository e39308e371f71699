"""The subcommands together: their names, how fast the help comes, exit statuses."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from typer.testing import CliRunner

import osteolens
from osteolens import cli, client
from osteolens.cli.root import COMMANDS, app
from osteolens.console import Status
from osteolens.doctor.server import VARIABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text()
OSTEOLENS = str(Path(sys.executable).parent / "osteolens")
NOT_COMMANDS = {"__init__", "root", "options", "answers", "listen", "pacs"}  # the last two are parts of `dicomweb`
SLOW = ("rich", "numpy", "httpx", "pydantic", "cv2", "PIL")


def output(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_module_is_a_command_and_the_help_names_it() -> None:
    modules = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - NOT_COMMANDS
    assert modules == set(COMMANDS)
    text = output("--help")
    assert re.findall(r"(?m)^  (\w+)  +[A-Z]", text) == list(COMMANDS)
    assert "not a diagnostic device" in text
    assert output("-h") == text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_help(name: str) -> None:
    assert f"osteolens {name}" in output(name, "-h")


def test_an_unknown_command_is_wrong_usage_and_a_similar_one_is_named() -> None:
    done = CliRunner().invoke(app, ["predcit"])
    assert done.exit_code == Status.USAGE
    assert "Did you mean 'predict'?" in done.stderr


def quickest(arguments: list[str], wanted: float) -> tuple[float, str]:
    """Processor time of a command, the least of up to five runs, and what it printed. An idle clock shows the same."""
    best = 10.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([OSTEOLENS, *arguments], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if best < wanted:
            break
    return best, done.stdout


@pytest.mark.parametrize(("arguments", "seconds"), [(["--version"], 0.15), (["--help"], 0.4)])
def test_version_and_help_come_at_once(arguments: list[str], seconds: float) -> None:
    best, shown = quickest(arguments, seconds)
    assert osteolens.__version__ in shown or "Usage:" in shown
    assert best < seconds


def test_a_film_is_answered_here_at_once(tmp_path: Path) -> None:
    film = tmp_path / "knee.png"
    film.write_bytes(encoded(knee_like(1280, 1024)))
    best, shown = quickest(["predict", "--local", "--out", str(tmp_path), str(film)], 1.2)
    assert "T-score" in shown
    assert (tmp_path / "knee.json").is_file()
    assert best < 1.2  # 0.7 on an idle machine


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_version_and_help_import_nothing_slow(arguments: list[str]) -> None:
    code = f"""
import sys
from osteolens.cli import main
sys.argv[1:] = {arguments}
try:
    main()
except SystemExit:
    pass
print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_help_and_the_docs_have_every_exit_status_and_command() -> None:
    shown = output("--help").split("Exit status:")[1]
    assert [int(number) for number in re.findall(r"(?m)^  (\d+)  ", shown)] == list(Status)
    for status in Status:
        assert f"| {status.value} | {status.meaning} |" in PAGE
    for name, line in COMMANDS.items():
        assert f"| `{name}` | {line} |" in PAGE


def test_one_thing_has_one_name_and_one_letter_everywhere() -> None:
    letters: dict[str, set[str]] = {}
    for name in COMMANDS:
        for letter, option in re.findall(r"(?m)^  -(\w), --([\w-]+)", output(name, "--help")):
            letters.setdefault(letter, set()).add(option)
    assert all(len(options) == 1 for options in letters.values()), letters
    shared = re.findall(r"(?m)^\| `--([\w-]+)`, `-(\w)` \|", PAGE)
    assert {("out", "o"), ("data", "d"), ("model", "m")} <= set(shared)
    assert all(letters[letter] == {option} for option, letter in shared)


def test_variables_that_the_client_reads_are_in_help_and_docs() -> None:
    for variable in (client.URL_VARIABLE, client.KEY_VARIABLE, client.KEY_FILE_VARIABLE):
        for command in ("predict", "batch"):
            assert re.search(rf"\b{variable}\b", output(command, "--help"))
        assert f"| `{variable}` |" in PAGE
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in sorted(VARIABLES) if not re.search(rf"\b{name}\b", pages)] == []


def test_earlier_spellings_are_taken_and_not_shown() -> None:
    assert "--films" not in output("bench", "--help")
    assert "--log" not in output("batch", "--help")
    assert (
        "no such option" not in CliRunner().invoke(app, ["batch", "absent", "-o", "o", "--log", "json"]).stderr.lower()
    )


def test_no_command_chooses_the_status_of_a_crash() -> None:
    sources = [path for path in (ROOT / "src").rglob("*.py") if path.name != "console.py"]
    assert not [path for path in sources if "Status.CRASHED" in path.read_text()]
    assert Status.CRASHED == 1
