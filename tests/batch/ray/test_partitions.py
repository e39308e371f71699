"""Which films go where, and what a partition keeps."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from osteolens.batch.answerers.ray import planning
from osteolens.batch.answerers.ray.films import SCHEMA
from osteolens.batch.answerers.ray.partitions import Known, Partitions
from osteolens.batch.answerers.ray.spread import cut
from osteolens.errors import BatchError

RESULTS = pa.schema({"path": pa.string(), "id": pa.string(), "model": pa.string(), "status": pa.string()})


def film(name: str, state: str = "new", code: str | None = None) -> dict[str, object]:
    empty = {"file": name.encode(), "id": "", "facts": "{}", "carried": "{}", "size": 1, "message": code}
    return {"name": name.encode(), "path": name.encode(), "state": state.encode(), "code": code, **empty}


def planned(films: list[dict[str, object]], known: dict[bytes, Known]) -> list[tuple[int, str]]:
    found = planning.plan(pa.Table.from_pylist(films, SCHEMA), known)
    return [(row["partition"], row["name"].decode()) for row in found.to_pylist()]


def test_new_films_fill_the_free_partitions_in_order(monkeypatch):
    monkeypatch.setattr(planning, "PARTITION_FILMS", 2)
    films = [film(name) for name in "abcde"]
    assert planned(films, {}) == [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e")]
    # Killed after partition 1: the same films go to the same places again.
    known = {name: Known(1, b"new", final=True) for name in (b"c", b"d")}
    assert planned(films, known) == [(0, "a"), (0, "b"), (2, "e")]


def test_only_changed_and_failed_films_are_done_again_in_their_own_partition():
    known = {
        b"a": Known(0, b"new", final=True),
        b"b": Known(0, b"old", final=True),
        b"c": Known(1, b"new", final=False),
        b"d": Known(1, b"old", final=True),
    }
    films = [film("a"), film("b"), film("c"), film("d", code="file_not_found"), film("e")]
    # d was answered and cannot be read now: its answer stays.
    assert planned(films, known) == [(0, "b"), (1, "c"), (2, "e")]


def test_batches_keep_to_their_partition():
    films = planning.plan(pa.Table.from_pylist([film(f"{number:04}") for number in range(520)], SCHEMA), {})
    sizes = [(batch["partition"][0].as_py(), len(batch)) for batch in cut(films, 200)]
    assert sizes == [(0, 200), (0, 200), (0, 112), (1, 8)]


def rows(*names: str, state: str = "s", status: str = "answered") -> pa.Table:
    """Two models' rows of some films."""
    return pa.Table.from_pylist(
        [
            {"path": name, "model": model, "status": status, "_name": name.encode(), "_state": state.encode()}
            for name in names
            for model in ("y", "x")
        ],
        pa.schema([*RESULTS, ("_name", pa.binary()), ("_state", pa.binary())]),
    )


def test_new_rows_take_the_place_of_the_same_films_and_the_others_stay(tmp_path):
    partitions = Partitions(tmp_path / "results.parquet", models=2)
    partitions.write(3, [rows("b"), rows("a", status="failed")], RESULTS)
    partitions.write(3, [rows("a", state="t", status="refused"), rows("c")], RESULTS)
    table = parquet.read_table(tmp_path / "results.parquet")
    assert table.schema.names == RESULTS.names
    assert [(row["path"], row["model"], row["status"]) for row in table.to_pylist()] == [
        ("a", "x", "refused"), ("a", "y", "refused"), ("b", "x", "answered"),
        ("b", "y", "answered"), ("c", "x", "answered"), ("c", "y", "answered"),
    ]  # fmt: skip
    assert partitions.known() == {
        b"a": Known(3, b"t", final=True), b"b": Known(3, b"s", final=True), b"c": Known(3, b"s", final=True)
    }  # fmt: skip


def test_a_failed_film_is_not_final(tmp_path):
    partitions = Partitions(tmp_path, models=2)
    partitions.write(0, [rows("a", status="failed")], RESULTS)
    assert not partitions.known()[b"a"].final


def test_a_partition_gains_columns_without_new_rows(tmp_path):
    partitions = Partitions(tmp_path, models=2)
    partitions.write(0, [rows("a")], RESULTS)
    partitions.write(0, [], pa.schema([*RESULTS, ("ward", pa.string())]))
    assert partitions.columns(0) == [*RESULTS.names, "ward"]
    assert [row["ward"] for row in parquet.read_table(tmp_path).to_pylist()] == [None, None]


def test_a_full_disk_leaves_the_partition_as_it_was(tmp_path, monkeypatch):
    partitions = Partitions(tmp_path, models=2)
    partitions.write(0, [rows("a")], RESULTS)
    before = partitions.path(0).read_bytes()

    def full(table, draft, **_):
        draft.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", full)
    with pytest.raises(BatchError, match="No space left on device; when that is mended"):
        partitions.write(0, [rows("b")], RESULTS)
    assert partitions.path(0).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["part-000000.parquet"]


def test_a_partition_that_is_torn_or_somebody_elses_is_named(tmp_path):
    partitions = Partitions(tmp_path, models=2)
    partitions.path(0).write_bytes(b"torn")
    with pytest.raises(BatchError, match=r"part-000000\.parquet is damaged"):
        partitions.known()
    parquet.write_table(pa.table({"a": [1]}), partitions.path(0))
    with pytest.raises(BatchError, match="is not a partition of a batch"):
        partitions.known()


def test_a_film_without_all_its_rows_is_never_written(tmp_path):
    with pytest.raises(AssertionError, match="3 rows of 2 films and 2 models"):
        Partitions(tmp_path, models=2).write(0, [rows("a"), rows("b").slice(0, 1)], RESULTS)
    assert not list(tmp_path.iterdir())
