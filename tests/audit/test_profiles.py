import pytest
from support.audit import collection, row, seen

from osteolens.audit.profiles import families, profiles


def test_a_profile_by_hand() -> None:
    rows = [
        row("1", "normal", "p1", "train", age="40", sex="F"),
        row("2", "osteoporosis", "p1", "train", age="60", sex="male"),
        row("3", "normal", "p2", "train", age="", sex="female"),
        row("4", "", "p3", "test", age="", sex=""),
    ]
    pictures = {0: seen(brightness=50.0, width=100), 1: seen(brightness=70.0, width=300), 3: seen(height=90)}
    tables = profiles(collection(rows, pictures=pictures, problems={2: "is empty"}))
    assert list(tables) == ["label", "part", "device family"]
    train, test = tables["part"]
    assert (train.name, train.pictures, train.groups, train.labels) == ("train", 3, 2, {"normal": 2, "osteoporosis": 1})
    assert train.brightness == (60, 10)
    assert train.size == (200, 120)
    assert train.age == (45, 50, 55)
    assert train.women == pytest.approx(2 / 3)
    assert (test.name, test.labels, test.age, test.women) == ("test", {}, None, None)
    assert [profile.name for profile in tables["label"]] == ["normal", "osteoporosis", "no label"]


def test_sources_have_a_table() -> None:
    rows = [row("1", "a", source="here"), row("2", "b", source="there"), row("3", "b", source="there")]
    assert [(profile.name, profile.labels) for profile in profiles(collection(rows))["source"]] == [
        ("there", {"b": 2}),
        ("here", {"a": 1}),
    ]


def test_families_gather_around_frequent_sizes() -> None:
    sizes = [(1248, 1024)] * 4 + [(1249, 1024)] * 2 + [(1248, 1034)] + [(1024, 1248)] * 3 + [(900, 900)] * 2
    kinds = [{"width": width, "height": height} for width, height in sizes]
    kinds += [{"width": 1248, "height": 1024, "format": "PNG", "colour": "RGB"}] * 3
    kinds += [{"width": 1248, "height": 1024, "device": "Canon CXDI"}] * 3
    names = families(
        collection([row(str(n)) for n in range(len(kinds))], pictures={n: seen(**kind) for n, kind in enumerate(kinds)})
    )
    assert [names[n] for n in (0, 4, 6, 7, 10, 12, 15)] == [
        "JPEG grey, about 1248 x 1024",
        "JPEG grey, about 1248 x 1024",
        "JPEG grey, about 1248 x 1024",
        "JPEG grey, about 1024 x 1248",
        "other sizes",  # two pictures are no family
        "PNG colour, about 1248 x 1024",
        "JPEG grey Canon CXDI, about 1248 x 1024",
    ]
