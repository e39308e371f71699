"""Which pictures the poster measured on, where its folds leak, and how a wrong table is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.poster_films import SPEC, TRUE_LABELS, write_published

from osteolens.errors import DataError
from poster.published import (
    build_protocols,
    contiguous_folds,
    leaks,
    publication_order,
    read_pictures,
    squeezed,
)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path)


@pytest.fixture
def protocols(published, quiet):
    return {protocol.name: protocol for protocol in build_protocols(read_pictures(published), SPEC, 0, quiet)}


def test_the_poster_trains_on_every_tested_picture_and_the_grouped_folds_on_none(protocols):
    assert {name: leaks(protocol) for name, protocol in protocols.items()} == {
        "poster": (1, 1),
        "kaggle": (0, 0),
        "film": (0, 0),
    }


def test_leaks_are_counted_film_by_film(protocols):
    films = protocols["film"]  # the first four: two pictures each of two groups
    few = replace(films.cohort, films=films.cohort.films[:4])
    assert leaks(replace(films, cohort=few, fold=np.array([0, 1, 2, 2]))) == (0, 0.5)
    twice = replace(few, films=[few.films[0], few.films[0], few.films[2], few.films[3]])
    assert leaks(replace(films, cohort=twice, fold=np.array([0, 1, 2, 2]))) == (0.5, 0)


def test_films_of_each_protocol(protocols):
    assert {name: len(protocol.cohort.films) for name, protocol in protocols.items()} == {
        "poster": 2 * (36 + 2 + 2),
        "kaggle": 36 + 2 + 2,
        "film": 37,
    }
    assert protocols["poster"].cohort.labels == protocols["kaggle"].cohort.labels == ("normal", "osteoporosis")
    assert protocols["film"].cohort.labels == TRUE_LABELS
    assert [protocol.best_epoch for protocol in protocols.values()] == [True, False, False]


def test_the_order_is_by_number_with_the_classes_in_turn(published):
    pictures = read_pictures(published)
    order = publication_order(pictures)
    for label in ("normal", "osteoporosis"):
        numbers = [pictures[index].number for other, index in order if other == label]
        assert numbers == sorted(numbers)
    for start in range(0, len(order), 10):
        assert {label for label, _ in order[start : start + 10]} == {"normal", "osteoporosis"}
    named = [(label, pictures[index].file) for label, index in order]
    assert {label for label, file in named if "0036" in file} == {"normal", "osteoporosis"}
    assert [label for label, file in named if "0037" in file] == ["osteoporosis", "osteoporosis"]


def test_contiguous_folds():
    assert contiguous_folds(11).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_small_copies_are_128_wide_and_256_high():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)
    copy = squeezed(pixels, 128, 256)
    assert copy.shape == (256, 128)
    assert copy.dtype == np.uint8


def test_all_problems_of_a_table_are_listed(published, tmp_path):
    lines = published.read_text().splitlines()
    cells = lines[1].split(",")
    lines += [
        "gone.png,g1,normal,normal,1",
        f"{cells[0]},,healthy,normal,none",
        f"{lines[2].split(',')[0]},g1,normal|osteoporosis,normal,3",
    ]
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_pictures(broken)
    message = str(caught.value)
    assert "7 problems" in message
    assert "line 40: there is no file" in message
    assert "line 41: group is empty" in message
    assert "line 41: kaggle_label has the unknown label 'healthy'" in message
    assert "line 41: copies is 'none', which is not a count such as 1" in message
    assert "line 42: copies is 3 with 2 published labels" in message
    assert message.count("is named 2 times") == 2


def test_a_picture_that_cannot_be_read(published, tmp_path, quiet):
    (tmp_path / "normal_0000.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"normal_0000\.png: found"):
        build_protocols(read_pictures(published), SPEC, 0, quiet)
