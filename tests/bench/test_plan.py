import pytest

from osteolens.bench.plan import BACKENDS, Settings, cases
from osteolens.bench.turns import interleaved
from osteolens.errors import BenchmarkError


def test_every_item_has_one_turn_in_every_round() -> None:
    items = list("abcdef")
    turns = list(interleaved(items, 7, seed=1))
    assert [index for index, _ in turns] == [index for index in range(7) for _ in items]
    orders = [[item for at, item in turns if at == index] for index in range(7)]
    assert all(sorted(order) == items for order in orders)
    assert len({tuple(order) for order in orders}) == 7  # another order each time
    assert turns == list(interleaved(items, 7, seed=1))
    assert turns != list(interleaved(items, 7, seed=2))


def names(backend: str, **settings: object) -> list[tuple[str, str, int]]:
    planned = cases("knee", backend, 1, Settings(**settings))  # type: ignore[arg-type]
    return [(case.scope, case.heat_map, case.batch) for case in planned]


def test_cases_of_the_eager_model() -> None:
    assert names("eager", batches=(1, 8)) == [
        ("model", "none", 1), ("model", "grad-cam", 1), ("model", "closed form", 1),
        ("model", "none", 8), ("model", "grad-cam", 8), ("model", "closed form", 8),
        ("bytes", "none", 1), ("bytes", "grad-cam", 1),
    ]  # fmt: skip


def test_a_graph_gives_its_heat_maps_whether_they_are_wanted_or_not() -> None:
    assert names("onnx-fp32", heat_maps=(False,)) == [("model", "closed form", 1), ("bytes", "none", 1)]
    assert names("torch-compile", heat_maps=(True,), scopes=("bytes",)) == [("bytes", "closed form", 1)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backends": ("onnx",)}, f"unknown backend 'onnx': use one of {', '.join(BACKENDS)}"),
        ({"scopes": ("http",)}, "unknown scope 'http': use one of model, bytes"),
        ({"calls": 0}, "--calls 0 is too small: use 1 or more"),
        ({"rounds": 0}, "--rounds 0 is too small"),
        ({"batches": (1, 0)}, "--batch 0 is too small"),
        ({"threads": (-1,)}, "--threads -1 is too small"),
        ({"warm_up": -1}, "--warm-up -1 is too small: use 0 or more"),
        ({"warm_up": 2.6}, "--warm-up 2.6 is no number of calls: use 3"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        Settings(**values)  # type: ignore[arg-type]
