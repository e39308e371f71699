"""Settings that Java and Python read alike."""

from pathlib import Path

import pytest

from osteolens.errors import ServerError
from osteolens.serving.properties import read_properties, write_properties

ODD = "/data/Köln 膝 \U0001f9b4/a\\b=c"


def test_letters_outside_ascii_and_backslashes_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "config.properties"
    write_properties(path, {"model_store": ODD})
    # U+00F6, U+819D, the surrogates of U+1F9B4, and the backslash itself.
    assert path.read_bytes() == b"model_store=/data/K\\u00f6ln \\u819d \\ud83e\\uddb4/a\\u005cb=c\n"
    assert read_properties(path) == {"model_store": ODD}


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"model_store=/K\xf6ln", "/Köln"),  # as Java wants it
        ("\ufeff# a comment\n! another\nmodel_store = /Köln\r\n".encode(), "/Köln"),  # as an editor leaves it
        (b"model_store=/K\\u00F6ln\\:\\t", "/Köln:\t"),
    ],
)
def test_other_ways_to_write_it_are_read(tmp_path: Path, content: bytes, value: str) -> None:
    path = tmp_path / "config.properties"
    path.write_bytes(content)
    assert read_properties(path) == {"model_store": value}


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"cannot read .*: Is a directory"):
        read_properties(tmp_path)
