from pathlib import Path

import numpy as np
import pytest

from osteolens.bench.parity import Outputs, compare

REFERENCE = Outputs(
    np.array([[0.7, 0.3], [0.4, 0.6]]),
    np.array([-1.0, -2.0]),
    [np.array([[0, 2.0], [4, 1]], np.float32), np.array([[1.0, 1.0]], np.float32)],
)


def test_largest_differences() -> None:
    other = Outputs(
        np.array([[0.65, 0.35], [0.55, 0.45]]),
        np.array([-1.25, -2.0]),
        # Twice the map is the same picture but for one value of 8 that is 6; the other film's is of another label.
        [np.array([[0, 4.0], [8, 6]], np.float32), np.array([[9.0, 0.0]], np.float32)],
    )
    parity = compare(REFERENCE, other)
    assert parity.films == 2
    assert parity.probability == pytest.approx(0.15)
    assert parity.t_score == 0.25
    assert parity.heat_map == 0.5
    assert parity.other_labels == 1


def test_what_is_not_there_is_not_compared() -> None:
    bare = Outputs(REFERENCE.probabilities, np.full(2, np.nan))
    parity = compare(REFERENCE, bare)
    assert (parity.probability, parity.t_score, parity.heat_map, parity.other_labels) == (0, None, None, 0)


def test_an_empty_map_is_compared_as_it_is() -> None:
    dark = Outputs(REFERENCE.probabilities, REFERENCE.t_score, [np.zeros_like(levels) for levels in REFERENCE.maps])
    assert compare(REFERENCE, dark).heat_map == 1


def test_outputs_survive_their_file(tmp_path: Path) -> None:
    REFERENCE.save(tmp_path / "outputs.npz")
    loaded = Outputs.load(tmp_path / "outputs.npz")
    assert compare(REFERENCE, loaded).model_dump(exclude={"films"}) == {
        "probability": 0, "t_score": 0, "heat_map": 0, "other_labels": 0,
    }  # fmt: skip
    assert [levels.shape for levels in loaded.maps] == [(2, 2), (1, 2)]
