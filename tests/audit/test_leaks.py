"""Findings about made-up rows whose pictures are said to match."""

from support.audit import collection, row

from osteolens.audit.findings import Collection, Finding, by_importance, verdict
from osteolens.audit.leaks import copy_findings, label_findings, reading_findings, split_findings


def only(findings: object) -> Finding:
    (finding,) = findings  # type: ignore[misc]
    assert isinstance(finding, Finding)
    return finding


def nothing(pictures: Collection) -> bool:
    checks = (split_findings, label_findings, copy_findings, reading_findings)
    return not any(list(check(pictures)) for check in checks)


def test_a_group_on_both_sides() -> None:
    rows = [row("1", "well", "p1", "train"), row("2", "well", "p1", "test"), row("3", "ill", "p2", "test")]
    finding = only(split_findings(collection([*rows, row("4", "ill", "p1", "test")])))
    assert (finding.kind, finding.severity, finding.count) == ("group-on-both-sides", "leak", 1)
    assert finding.numbers == (0, 1, 3)
    assert finding.lines == ("p1: test 2, train 1",)


def test_a_group_without_a_part_is_on_no_side() -> None:
    assert nothing(collection([row("1", "well", "p1", "train"), row("2", "well", "p1"), row("3", "ill", "", "test")]))


def test_a_picture_on_both_sides() -> None:
    rows = [row("1", "well", part="train"), row("2", "well", part="test"), row("3", "well", part="test")]
    finding = only(split_findings(collection(rows, matches=[(0, 2)])))
    assert (finding.kind, finding.severity, finding.count) == ("picture-on-both-sides", "leak", 2)
    assert finding.numbers == (0, 2)
    assert finding.lines == ("1 x film in test and train",)
    assert [(match.first, match.second) for match in finding.matches] == [(0, 2)]


def test_two_parts_of_a_film_that_only_the_other_data_set_has_whole() -> None:
    rows = [row("left", "well", part="train"), row("right", "well", part="test")]
    finding = only(split_findings(collection(rows, [row("film", "well")], matches=[(0, 2), (1, 2)])))
    assert (finding.numbers, finding.count) == ((0, 1), 2)


def test_named_parts_of_two_data_sets() -> None:
    train = [row("1", "well", "p1", "train")]
    assert only(split_findings(collection(train, [row("1", "well", "p1", "test")]))).kind == "group-on-both-sides"
    assert list(split_findings(collection(train, [row("1", "well", "p1", "train")]))) == []
    assert list(split_findings(collection(train, [row("1", "well", "p1")], matches=[(0, 1)]))) == []


def test_leaks_within_the_other_data_set_are_not_this_ones() -> None:
    others = [row("2", "well", "p2", "train"), row("3", "well", "p2", "test")]
    assert list(split_findings(collection([row("1", "well", "p1", "train")], others, matches=[(1, 2)]))) == []


def test_the_same_picture_under_two_labels() -> None:
    rows = [row("1", "well", "p1"), row("2", "ill", "p1"), row("3", "well", "p1"), row("4", "ill", "p2")]
    finding = only(label_findings(collection(rows, matches=[(0, 1), (0, 2)])))
    assert (finding.kind, finding.severity, finding.count) == ("same-picture-two-labels", "fault", 1)
    assert [(match.first, match.second) for match in finding.matches] == [(0, 1)]
    assert finding.numbers == (0, 1, 2)
    assert finding.lines == ("1 x label ill, other picture well",)


def test_labels_that_contradict_those_of_the_other_data_set() -> None:
    rows = [row("1", "normal", "p1"), row("2", "normal", "p2"), row("3", "osteoporosis", "p3")]
    others = [row("a", "osteopenia", "p1"), row("b", "normal", "p2")]
    finding = only(label_findings(collection(rows, others, matches=[(3, 0), (4, 1)])))
    assert (finding.count, finding.numbers) == (1, (0, 3))
    assert finding.lines == ("1 x label normal in a.csv, osteopenia in b.csv",)
    assert "1 picture of a.csv" in finding.title


def test_labels_of_other_classes_do_not_contradict() -> None:
    rows, others = [row("1", "normal")], [row("a", "grade 4")]
    assert list(label_findings(collection(rows, others, matches=[(0, 1)]))) == []


def test_unlabelled_copies_do_not_contradict() -> None:
    assert list(label_findings(collection([row("1", "well"), row("2")], matches=[(0, 1)]))) == []


def test_several_labels_in_one_row() -> None:
    finding = only(label_findings(collection([row("1", "well|ill"), row("2", "well")])))
    assert (finding.kind, finding.count, finding.lines) == ("several-labels-in-one-row", 1, ("1 x label well and ill",))


def test_copies_in_one_group_and_in_two() -> None:
    rows = [row("1", "well", "p1"), row("2", "well", "p1"), row("3", "well", "p2")]
    copies = only(copy_findings(collection(rows, matches=[(0, 1)])))
    assert (copies.kind, copies.severity, copies.numbers) == ("copies", "warning", (0, 1))
    assert "already share a group" in copies.advice
    strangers, copies = copy_findings(collection(rows, matches=[(0, 2)]))
    assert (strangers.kind, strangers.severity, strangers.numbers) == ("same-picture-two-groups", "fault", (0, 2))
    assert "give all of them the same group" in copies.advice


def test_pictures_of_both_data_sets() -> None:
    rows = [row("1", "well"), row("2", "well")]
    finding = only(copy_findings(collection(rows, [row("a", "well"), row("b", "well")], matches=[(3, 0), (2, 3)])))
    assert (finding.kind, finding.count, finding.numbers) == ("in-both-data-sets", 1, (0, 3))
    assert finding.title == "1 of 2 pictures of a.csv is also in b.csv, whole or in part."


def test_unreadable_files_and_missing_labels() -> None:
    pictures = collection(
        [row("1", "well"), row("2", "ill"), row("3")], [row("4")], problems={1: "is no picture", 3: "is empty"}
    )
    unreadable, unlabelled = reading_findings(pictures)
    assert (unreadable.kind, unreadable.lines) == ("unreadable", ("2: is no picture",))
    assert (unlabelled.severity, unlabelled.numbers) == ("note", (2,))
    assert list(reading_findings(collection([row("1"), row("2")]))) == []  # without labels on purpose


def test_findings_are_sorted_and_summed_up() -> None:
    leak = only(split_findings(collection([row("1", "", "p", "a"), row("2", "", "p", "b")])))
    fault = only(label_findings(collection([row("1", "well|ill")])))
    assert by_importance([fault, leak, fault]) == [leak, fault, fault]
    assert verdict([fault, leak, fault], split=True) == (
        "The split leaks: scores measured on it are too good and must not be believed; "
        "2 other findings below need a look."
    )
    assert verdict([fault], split=False) == (
        "No split was given, so no leak could be looked for, but 1 other finding below needs a look."
    )
    assert verdict([], split=True) == "No leak was found: no patient and no picture is on two sides of the split."
