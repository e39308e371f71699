import numpy as np
import pytest
from support.audit import collection, row, seen

from osteolens.audit.pictures import Seen
from osteolens.audit.profiles import balance_findings, profiles
from osteolens.audit.shortcuts import FILE_FACTS, Shortcut, as_column, describe, find_shortcuts, shortcut_findings
from osteolens.card import Metric
from osteolens.films.acquisition import NAMES

ALIKE = ("file format", "picture size", "brightness", "borders", "acquisition", "all of these")


def pictures(count: int, **facts: object) -> dict[int, Seen]:
    """Pictures with some facts, each given as a function of the number."""
    return {
        number: seen(**{name: tell(number) for name, tell in facts.items()})  # type: ignore[operator]
        for number in range(count)
    }


def named(shortcuts: list[Shortcut]) -> dict[str, Shortcut]:
    return {shortcut.facts: shortcut for shortcut in shortcuts}


def shortcut(name: str, area: tuple[float, float, float], target: str = "label") -> Shortcut:
    value, low, high = area
    metrics = (
        Metric(name="balanced accuracy", value=0.758, low=0.7, high=0.8),
        Metric(name="mean AUROC", value=value, low=low, high=high),
    )
    return Shortcut(name, target, 100, 90, ("a", "b"), 0.5, metrics)


def test_a_planted_brightness_is_found_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    rows = [row(str(number), "ill" if number % 2 else "well", f"p{number}") for number in range(80)]
    shortcuts, remarks = find_shortcuts(
        collection(rows, pictures=pictures(80, brightness=lambda n: 60.0 + 60 * (n % 2) + random.normal(0, 5))),
        (),
        "label",
    )
    assert set(named(shortcuts)) == {"brightness", "all of these"}  # all else is the same everywhere
    bright = named(shortcuts)["brightness"]
    assert (bright.pictures, bright.groups, bright.labels, bright.largest) == (
        80,
        80,
        ("ill", "well"),
        0.5,
    )
    assert bright.metric("accuracy").value == 1
    assert bright.metric("mean AUROC").low > 0.99
    assert bright.strength == "strong"
    assert "Not tested on label: picture size, which is the same (or unknown, or a name) everywhere." in remarks


def test_acquisition_that_tells_the_label_is_a_warning_even_where_it_is_weak() -> None:
    """Sharpness differs a little between the ill and the well; nothing else does."""
    random = np.random.default_rng(0)
    rows = [row(str(number), "ill" if number % 2 else "well", f"p{number}") for number in range(300)]
    usual = dict.fromkeys(NAMES, 0.5)
    films = pictures(300, acquisition=lambda n: usual | {"edge_spread": 3 + 0.6 * (n % 2) + random.normal()})
    shortcuts, _ = find_shortcuts(collection(rows, pictures=films), (), "label")
    assert set(named(shortcuts)) == {"acquisition", "all of these"}
    findings = {finding.kind: finding for finding in shortcut_findings([named(shortcuts)["acquisition"]])}
    assert list(findings) == ["acquisition-shortcut"]
    assert findings["acquisition-shortcut"].severity == "warning"
    assert "to acquisition alone: mean AUROC 0.6" in findings["acquisition-shortcut"].title


def test_chance_is_not_a_shortcut() -> None:
    random = np.random.default_rng(0)
    ages = random.normal(60, 9, 120).round().astype(int)
    rows = [row(str(number), "ill" if number % 2 else "well", age=str(ages[number])) for number in range(120)]
    shortcuts, _ = find_shortcuts(
        collection(rows, pictures=pictures(120, brightness=lambda n: random.normal(80, 9))), (), "label"
    )
    assert set(named(shortcuts)) == {"brightness", "all of these", "age"}
    for tested in shortcuts:
        assert tested.metric("mean AUROC").low < 0.5
        assert tested.strength == "none"


def test_what_only_marks_groups_is_no_shortcut() -> None:
    # Every group of four has its own brightness and one label: only a split through groups would make that useful.
    random = np.random.default_rng(1)
    label = random.permutation(np.repeat(["ill", "well"], 15))
    rows = [row(str(number), str(label[number // 4]), f"p{number // 4}") for number in range(120)]
    shades = random.permutation(30)
    shortcuts, _ = find_shortcuts(
        collection(rows, pictures=pictures(120, brightness=lambda n: 5.0 * shades[n // 4])), (), "label"
    )
    assert named(shortcuts)["brightness"].groups == 30
    assert named(shortcuts)["brightness"].metric("accuracy").value < 0.7


def test_pictures_of_one_film_are_one_group() -> None:
    rows = [row(str(number), "ill" if number % 2 else "well", f"p{number}") for number in range(40)]
    matches = [(number, number + 20) for number in range(20)]
    shortcuts, _ = find_shortcuts(
        collection(rows, matches=matches, pictures=pictures(40, brightness=lambda n: n % 7)), (), "label"
    )
    assert shortcuts[0].groups == 20


def test_columns_of_the_table() -> None:
    random = np.random.default_rng(0)
    rows = [
        row(
            str(number), "ill" if number % 2 else "well", age=str(50 + 20 * (number % 2) + int(random.normal(0, 5))),
            sex="F" if number % 3 else "m", ward="b" if number % 2 else "a", name=f"n{number}",
        )
        for number in range(60)
    ]  # fmt: skip
    shortcuts, remarks = find_shortcuts(collection(rows), ("ward", "name"), "label")
    assert set(named(shortcuts)) == {"age", "sex", "ward", "age, sex"}
    assert named(shortcuts)["age"].strength == named(shortcuts)["age, sex"].strength == "strong"
    assert named(shortcuts)["ward"].metric("accuracy").value == 1
    assert any(remark.startswith("Not tested on label: name") for remark in remarks)


def test_three_classes_have_an_auroc_each() -> None:
    rows = [row(str(number), "abc"[number % 3]) for number in range(60)]
    shortcuts, _ = find_shortcuts(
        collection(rows, pictures=pictures(60, width=lambda n: 100 + 50 * (n % 3 == 2))), (), "label"
    )
    size = named(shortcuts)["picture size"]
    assert [metric.name for metric in size.metrics] == [
        "accuracy", "balanced accuracy", "mean AUROC", "AUROC a vs rest", "AUROC b vs rest", "AUROC c vs rest",
    ]  # fmt: skip
    assert size.metric("AUROC c vs rest").value == 1
    assert size.metric("accuracy").value == pytest.approx(2 / 3, abs=0.1)  # a and b cannot be told apart


def test_rare_labels_are_left_out() -> None:
    rows = [row(str(number), "ill" if number < 4 else "well") for number in range(20)]
    assert find_shortcuts(collection(rows), (), "label") == (
        [],
        [
            "Left out, as fewer than 5 groups have it: label ill.",
            "Fewer than two values of label have 5 groups: nothing to predict.",
        ],
    )


def test_sources_are_told_by_their_pictures() -> None:
    rows = [row(str(number), "ill" if number % 3 else "well", source="ab"[number % 2]) for number in range(60)]
    shortcuts, _ = find_shortcuts(collection(rows, pictures=pictures(60, height=lambda n: 99 + n % 2)), (), "source")
    assert {tested.target for tested in shortcuts} == {"source"}
    assert named(shortcuts)["picture size"].metric("accuracy").value == 1


def test_columns_are_numbers_or_words() -> None:
    assert as_column(["1", "2.5", "-3"]) == [1, 2.5, -3]
    assert np.isnan(as_column(["", "inf"])).all()  # type: ignore[arg-type]
    assert as_column(["1", "Old"]) == ["1", "old"]


def test_strength_needs_size_and_an_interval_above_chance() -> None:
    assert [shortcut("a", area).strength for area in ((0.9, 0.8, 1), (0.7, 0.6, 0.8), (0.6, 0.51, 0.7))] == [
        "strong", "clear", "weak",
    ]  # fmt: skip
    assert shortcut("a", (0.9, 0.5, 1)).strength == "none"
    assert shortcut("a", (0.59, 0.55, 0.63)).strength == "none"


def test_findings_name_the_strongest_first() -> None:
    findings = list(
        shortcut_findings(
            [
                shortcut("borders", (0.65, 0.6, 0.7)),
                shortcut("all of these", (0.83, 0.77, 0.88)),
                shortcut("age", (0.62, 0.55, 0.7)),
                shortcut("source", (0.9, 0.8, 0.95)),
                shortcut("brightness", (0.9, 0.8, 0.95), "source"),
                shortcut("picture size", (0.55, 0.4, 0.6)),
            ]
        )
    )
    assert [(finding.kind, finding.severity) for finding in findings] == [
        ("file-shortcut", "warning"),
        ("column-shortcut", "note"),
        ("source-shortcut", "warning"),
        ("sources-differ", "warning"),
    ]
    assert findings[0].title == (
        "Strong tie of the label to all facts of the file together: mean AUROC 0.83 (0.77 to 0.88), "
        "balanced accuracy 76 % where chance is 50 %."
    )
    assert findings[0].lines == (describe(shortcut("borders", (0.65, 0.6, 0.7))),)
    assert {*FILE_FACTS, "all of these"} == {*ALIKE}


def test_uneven_labels_are_noted() -> None:
    def balance(*counts: int) -> list[str]:
        rows = [row(f"{label}{n}", label) for label, count in zip("abc", counts, strict=False) for n in range(count)]
        return [finding.title for finding in balance_findings(profiles(collection(rows))["label"])]

    assert balance(20, 30) == []
    assert balance(80, 20) == ["Labels are uneven: 80 pictures of a, 20 of b."]
    assert balance(12, 9) == ["Labels are uneven: 12 pictures of a, 9 of b."]
    assert balance(5) == []
