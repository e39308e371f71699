"""Faults of rows and labels, and pictures or patients on two sides of a split."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from osteolens.audit.copies import Match
from osteolens.audit.findings import Collection, Finding, many


def split_findings(collection: Collection) -> Iterator[Finding]:
    """Pictures and groups on both sides of a split: the leaks."""
    rows = collection.rows
    split = [numbers for numbers in collection.by_origin() if len(_parts(collection, numbers)) > 1]
    if split:
        numbers = [number for origin in split for number in origin if rows[number].part]
        across = [match for match in _among(collection, numbers) if _crosses(collection, match)]
        yield Finding(
            "picture-on-both-sides",
            "leak",
            f"{many(len(numbers), 'picture')} share a film with a picture on another side of the split.",
            "A model has seen these test pictures, or parts of them, in training: its score on them shows memory, "
            "not skill.",
            "Put all pictures of one film on the same side, or delete the copies, and train again.",
            len(numbers),
            tuple(across),
            tuple(numbers),
            tuple(_tally(f"film in {' and '.join(_parts(collection, origin))}" for origin in split)),
        )
    groups = [
        numbers
        for numbers in collection.together({number: row.group for number, row in enumerate(rows)})
        if len(_parts(collection, numbers)) > 1
    ]
    if groups:
        yield Finding(
            "group-on-both-sides",
            "leak",
            f"{many(len(groups), 'group')} (patients) {'is' if len(groups) == 1 else 'are'} on more than one side of "
            "the split.",
            "Pictures of one patient resemble each other: a model may know the patient again instead of the disease.",
            "Split by group, so that all pictures of a patient are on the same side, and train again.",
            len(groups),
            numbers=tuple(number for numbers in groups for number in numbers),
            lines=tuple(f"{rows[numbers[0]].group}: {_spread(collection, numbers)}" for numbers in groups),
        )


def label_findings(collection: Collection) -> Iterator[Finding]:
    """Pictures whose labels contradict each other."""
    twice = [numbers for numbers in collection.by_origin() if _contradictory(collection, numbers)]
    if twice:
        numbers = [number for origin in twice for number in origin if collection.rows[number].labels]
        differing = [
            match for match in _among(collection, numbers) if _contradictory(collection, (match.first, match.second))
        ]
        own = sum(collection.is_own(number) for number in numbers)
        yield Finding(
            "same-picture-two-labels",
            "fault",
            f"{many(len(twice), 'film')} {'has' if len(twice) == 1 else 'have'} pictures under different labels; "
            f"{many(own, 'picture')} of {collection.data.name} {'is' if own == 1 else 'are'} concerned.",
            "Copies and parts of the same film cannot have different diagnoses: labels are wrong, or say something "
            "else than they seem to.",
            "Go back to the source of the labels. Until then no score against them means much.",
            len(twice),
            tuple(differing),
            tuple(numbers),
            tuple(_tally(_contradiction(collection, match) for match in differing)),
        )
    several = [number for number in collection.own if len(collection.rows[number].labels) > 1]
    if several:
        yield Finding(
            "several-labels-in-one-row",
            "fault",
            f"The data set itself gives {many(len(several), 'picture')} more than one label.",
            "At most one of them can be right.",
            "Find out which is right, or leave these pictures out of training and scoring.",
            len(several),
            numbers=tuple(several),
            lines=tuple(_tally(f"label {' and '.join(collection.rows[number].labels)}" for number in several)),
        )


def copy_findings(collection: Collection) -> Iterator[Finding]:
    """Copies within the data set, across the two, and in different groups."""
    strangers = [match for match in collection.matches if _in_two_groups(collection, match)]
    if strangers:
        numbers = _pictures(strangers)
        yield Finding(
            "same-picture-two-groups",
            "fault",
            f"{many(len(strangers), 'pair')} of pictures of the same film "
            f"{'is' if len(strangers) == 1 else 'are'} in different groups.",
            "A split by group would put the same film on both sides.",
            "Give all pictures of one film the same group.",
            len(strangers),
            tuple(strangers),
            tuple(numbers),
        )
    across = [match for match in collection.matches if not _same_set(collection, match)]
    if across and collection.compare:
        numbers = _pictures(across)
        own = sum(collection.is_own(number) for number in numbers)
        yield Finding(
            "in-both-data-sets",
            "warning",
            f"{own:,} of {many(len(collection.own), 'picture')} of {collection.data.name} "
            f"{'is' if own == 1 else 'are'} also in {collection.compare.name}, whole or in part.",
            "The two data sets are not independent: one cannot test what was trained on the other.",
            "Use them as one data set, with one group for all pictures of a film.",
            own,
            tuple(across),
            tuple(numbers),
            tuple(_tally(_relation(collection, match) for match in across)),
        )
    within = [match for match in collection.matches if collection.is_own(match.first) and _same_set(collection, match)]
    if within:
        together = all(_in_one_group(collection, match) for match in within)
        numbers = _pictures(within)
        yield Finding(
            "copies",
            "warning",
            f"{many(len(numbers), 'picture')} of {collection.data.name} "
            f"{'is' if len(numbers) == 1 else 'are'} copies or parts of each other.",
            "They count as several films but hold the information of one, and leak as soon as a split parts them.",
            "They already share a group: split by group, as always."
            if together
            else "Keep one of each, or give all of them the same group.",
            len(numbers),
            tuple(within),
            tuple(numbers),
            tuple(_tally(match.describe().split(",")[0] for match in within)),
        )


def reading_findings(collection: Collection) -> Iterator[Finding]:
    """Files that cannot be read, and rows without a label."""
    unread = [number for number in collection.problems if collection.is_own(number)]
    if unread:
        yield Finding(
            "unreadable",
            "fault",
            f"{many(len(unread), 'file')} cannot be read.",
            "Training would stop at them, or silently go without.",
            "Restore the files, or take them out of the data set.",
            len(unread),
            numbers=tuple(unread),
            lines=tuple(f"{collection.rows[number].file}: {collection.problems[number]}" for number in unread),
        )
    unlabelled = [number for number in collection.own if not collection.rows[number].labels]
    if unlabelled and len(unlabelled) < len(collection.own):  # a table without any label is without them on purpose
        yield Finding(
            "unlabelled",
            "note",
            f"{len(unlabelled):,} of {many(len(collection.own), 'picture')} "
            f"{'has' if len(unlabelled) == 1 else 'have'} no label.",
            "They were compared with the others, but are left out where labels matter.",
            "Nothing, if this is on purpose.",
            len(unlabelled),
            numbers=tuple(unlabelled),
        )


def _parts(collection: Collection, numbers: Iterable[int]) -> list[str]:
    return sorted({collection.rows[number].part for number in numbers} - {""})


def _spread(collection: Collection, numbers: Sequence[int]) -> str:
    """Pictures by side of the split, such as `train 3, val 1`."""
    counts = Counter(collection.rows[number].part for number in numbers)
    return ", ".join(f"{part} {counts[part]}" for part in sorted(counts) if part)


def _pictures(matches: Iterable[Match]) -> list[int]:
    """Numbers of the pictures that some matches are about, each once."""
    return sorted({number for match in matches for number in (match.first, match.second)})


def _among(collection: Collection, numbers: Iterable[int]) -> list[Match]:
    """The matches between pictures of these numbers."""
    pictures = set(numbers)
    return [match for match in collection.matches if match.first in pictures and match.second in pictures]


def _crosses(collection: Collection, match: Match) -> bool:
    return len(_parts(collection, (match.first, match.second))) > 1


def _contradictory(collection: Collection, numbers: Iterable[int]) -> bool:
    """Whether labels that can be compared differ."""
    # Two data sets without a common label name other things: grades of osteoarthritis do not contradict osteoporosis.
    labels_by_set: dict[str, set[str]] = {}
    for number in numbers:
        scope = "" if collection.comparable else collection.data_set(number)
        labels_by_set.setdefault(scope, set()).update(collection.rows[number].labels)
    return any(len(labels) > 1 for labels in labels_by_set.values())


def _contradiction(collection: Collection, match: Match) -> str:
    """The labels of a pair, such as `label normal in knees.csv, osteopenia in films.csv`."""
    pair = sorted((match.first, match.second))
    labels = [" and ".join(collection.rows[number].labels) or "no label" for number in pair]
    if collection.compare is None:
        return f"label {', other picture '.join(sorted(labels))}"
    places = [f"{label} in {collection.data_set(number)}" for label, number in zip(labels, pair, strict=True)]
    return f"label {', '.join(places)}"


def _in_two_groups(collection: Collection, match: Match) -> bool:
    groups = {collection.rows[number].group for number in (match.first, match.second)}
    return len(groups) == 2 and "" not in groups and collection.is_own(min(match.first, match.second))


def _in_one_group(collection: Collection, match: Match) -> bool:
    group = collection.rows[match.first].group
    return group != "" and group == collection.rows[match.second].group


def _same_set(collection: Collection, match: Match) -> bool:
    return collection.is_own(match.first) == collection.is_own(match.second)


def _relation(collection: Collection, match: Match) -> str:
    """Relation of the audited picture to the other one, without the details."""
    if match.kind == "cut" and collection.is_own(match.first):
        return f"the whole of which {collection.data_set(match.second)} has a part"
    return match.describe().split(",")[0]


def _tally(things: Iterable[str]) -> list[str]:
    """Each different text with how often it occurs, most frequent first."""
    return [f"{count:,} x {text}" for text, count in Counter(things).most_common()]
