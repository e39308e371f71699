"""The drawn film that comes with the repository."""

from pathlib import Path

from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.films.read import read

SHIPPED = Path(__file__).parents[2] / "samples" / "knee.jpg"


def test_the_command_writes_the_film_that_is_shipped_and_others_by_seed(tmp_path: Path) -> None:
    for name, options in (("made/a.jpg", ()), ("made/b.jpg", ("--seed", "1"))):
        done = CliRunner().invoke(app, ["sample", "--out", str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
    first, second = (tmp_path / "made" / name for name in ("a.jpg", "b.jpg"))
    assert first.read_bytes() == SHIPPED.read_bytes()
    assert b"nobody's knee" in second.read_bytes()
    assert (read(second.read_bytes()).pixels != read(first.read_bytes()).pixels).any()
