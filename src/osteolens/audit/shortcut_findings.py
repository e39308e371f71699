"""Findings about shortcuts, sources and class balance, from the tests of `shortcuts` and the tables."""

from collections.abc import Iterator, Sequence

from osteolens.audit.findings import Finding, Severity, many
from osteolens.audit.profiles import Profile
from osteolens.audit.shortcuts import FILE_FACTS, SOURCE, Shortcut

FILE_KINDS = (*FILE_FACTS, "all of these")
_FEW, _UNEVEN = 10, 4


def shortcut_findings(shortcuts: Sequence[Shortcut]) -> Iterator[Finding]:
    """One finding each for facts of the files, for the patient's facts, for the source, and about the sources."""
    on_label = [shortcut for shortcut in shortcuts if shortcut.target == "label"]
    yield from _finding(
        "file-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts in FILE_KINDS],
        "A model can score by recognising the device or the export of a file instead of the bone.",
        "Give this figure beside every score of a model; bring all pictures to one format, size and border before "
        "training; test within one device family.",
    )
    yield from _finding(
        "column-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts not in (*FILE_KINDS, SOURCE)],
        "A model can score by reading such a fact off the picture (age shows in every joint) instead of the disease.",
        "Give this figure as a baseline beside every score of a model, and show that the model beats it.",
    )
    yield from _finding(
        "source-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts == SOURCE],
        "The sources hold different shares of the labels: a model that tells the sources apart scores without skill.",
        "Give every figure per source, and test on a source that was left out of training.",
    )
    yield from _finding(
        "sources-differ",
        [shortcut for shortcut in shortcuts if shortcut.target == SOURCE],
        "The sources can be told apart without looking at the knee.",
        "Compare labels, age, sex, brightness and size of the sources in the table below before mixing them.",
    )


def balance_findings(labels: Sequence[Profile]) -> Iterator[Finding]:
    """Labels that are rare, or far rarer than others."""
    named = [profile for profile in labels if profile.name in profile.labels]
    if len(named) < 2:
        return
    rarest, largest = (choose(named, key=lambda profile: profile.pictures) for choose in (min, max))
    if rarest.pictures < _FEW or largest.pictures >= _UNEVEN * rarest.pictures:
        yield Finding(
            "class-balance",
            "note",
            f"Labels are uneven: {many(largest.pictures, 'picture')} of {largest.name}, {rarest.pictures} of "
            f"{rarest.name}.",
            "Plain accuracy rewards naming the largest class, and figures for the rarest one rest on few pictures.",
            "Use balanced accuracy or AUROC, with intervals.",
            rarest.pictures,
        )


def _finding(kind: str, shortcuts: Sequence[Shortcut], meaning: str, advice: str) -> Iterator[Finding]:
    tests = sorted(
        (shortcut for shortcut in shortcuts if shortcut.strength != "none"),
        key=lambda shortcut: -shortcut.metric("mean AUROC").value,
    )
    if tests:
        severity: Severity = "note" if tests[0].strength == "weak" else "warning"
        lines = tuple(describe(shortcut) for shortcut in tests)
        yield Finding(kind, severity, f"{lines[0]}.", meaning, advice, len(tests), lines=lines[1:])


def describe(shortcut: Shortcut) -> str:
    """A result that shows something, in one sentence without its full stop."""
    area, right = shortcut.metric("mean AUROC"), shortcut.metric("balanced accuracy")
    name = "all facts of the file together" if shortcut.facts == "all of these" else shortcut.facts
    alone = "" if shortcut.facts == "all of these" else " together" if ", " in name else " alone"
    return (
        f"{shortcut.strength.capitalize()} tie of the {shortcut.target} to {name}{alone}: mean AUROC "
        f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f}), balanced accuracy {100 * right.value:.0f} % "
        f"where chance is {100 / len(shortcut.labels):.0f} %"
    )
