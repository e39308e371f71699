from pathlib import Path

import pytest
from conftest import encoded, knee_like

from osteolens.bench.films import make_films, read_films
from osteolens.errors import BenchmarkError
from osteolens.films.read import read


def test_made_up_films_are_as_large_as_real_ones_and_the_same_each_time() -> None:
    first, second = make_films(2)
    assert read(first).pixels.shape == (1024, 1024)
    assert 150_000 < len(first) < 300_000
    assert first != second
    assert make_films(1) == [first]


def test_films_of_a_folder(tmp_path: Path) -> None:
    films = [encoded(knee_like(seed=seed)) for seed in range(6)]
    for index, film in enumerate(films):
        (tmp_path / f"{index}.png").write_bytes(film)
    (tmp_path / "films.csv").write_text("file,label\n")
    (tmp_path / "more").mkdir()
    assert read_films(tmp_path) == films
    assert read_films(tmp_path, 3) == [films[0], films[2], films[4]]


def test_folders_without_films(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("file,label\n")
    with pytest.raises(BenchmarkError, match=r"no film in .*expected files such as knee\.jpg"):
        read_films(tmp_path)
    (tmp_path / "broken.png").write_bytes(encoded(knee_like())[:400])
    with pytest.raises(BenchmarkError, match=r"broken.png cannot be used: the PNG cannot be decoded"):
        read_films(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_films(tmp_path / "absent")
