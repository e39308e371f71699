"""Statistics for the page of a batch: queries to the journal, which SQLite answers without holding the rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from sqlite3 import Row as Record
from typing import Any, get_args

import numpy as np

from osteolens.agreement import cohen_kappa
from osteolens.batch.journal import Journal
from osteolens.schema import Zone

BINS = 10


@dataclass(frozen=True)
class ModelStatistics:
    """Statistics of one model.

    Attributes:
        model: Its name.
        version: Version of its card.
        statuses: Rows by status.
        findings: Answers by what they lead with.
        evidence: Why, a sentence each.
        labels: Answers by the model's output from the film alone, in the model's order.
        triage: Answers by zone of the finding.
        ill: What counts as ill, such as `2 and above`: the histogram is of its probability.
        histogram: Findings by its probability, in tenths.
        median_latency_ms: From sending to the last byte of the answer; None without an answer.
        doubtful: Answers about pictures that do not look like something the model can read.
    """

    model: str
    version: str
    statuses: dict[str, int]
    findings: dict[str, int]
    evidence: tuple[str, ...]
    labels: dict[str, int]
    triage: dict[str, int]
    ill: str
    histogram: tuple[int, ...]
    median_latency_ms: float | None
    doubtful: int


@dataclass(frozen=True)
class Agreement:
    """How often two models give the same label.

    Attributes:
        first: A model.
        second: Another.
        both: Films that both answered.
        same: How many of them have the same label.
        kappa: Cohen's kappa, agreement beyond chance, 1 at most; None where chance alone explains all.
        counts: Films by first and second label.
        labels: All labels that occur, in the models' order.
    """

    first: str
    second: str
    both: int
    same: int
    kappa: float | None
    counts: Mapping[tuple[str, str], int]
    labels: tuple[str, ...] = field(default=())


def model_statistics(journal: Journal) -> list[ModelStatistics]:
    """One entry per model, in the order of their names."""
    statuses: dict[str, dict[str, int]] = {}
    for (model, status), count in journal.counts().items():
        statuses.setdefault(model, {})[status] = count
    return [_statistics_of(journal, model, counts) for model, counts in statuses.items()]


def _statistics_of(journal: Journal, model: str, statuses: dict[str, int]) -> ModelStatistics:
    labels = _labels(journal, model)
    counted = _counted(journal, "SELECT label, COUNT(*) FROM answers WHERE model = ? GROUP BY 1", model)
    findings = _counted(journal, "SELECT finding, COUNT(*) FROM answers WHERE model = ? GROUP BY 1", model)
    zones = _counted(journal, "SELECT finding_triage, COUNT(*) FROM answers WHERE model = ? GROUP BY 1", model)
    sentences = journal.select("SELECT DISTINCT evidence FROM answers WHERE model = ? ORDER BY 1", [model])
    tenths = (
        "SELECT MIN(CAST(share * 10 AS INT), 9), COUNT(*) FROM answers WHERE model = ? AND share IS NOT NULL GROUP BY 1"
    )
    bins = _counted(journal, tenths, model)
    return ModelStatistics(
        model=model,
        version=journal.cards.get(model, ("", ""))[0],
        statuses=statuses,
        findings={name: findings[name] for name in labels if name in findings} | findings,
        evidence=tuple(sentence for (sentence,) in sentences if sentence),
        labels={label: counted.get(label, 0) for label in labels},
        triage={zone: zones[zone] for zone in get_args(Zone) if zone in zones},
        ill=_ill(journal, model, labels),
        histogram=tuple(bins.get(number, 0) for number in range(BINS)),
        median_latency_ms=_median(journal, model),
        doubtful=_value(journal, "SELECT COUNT(*) FROM answers WHERE model = ? AND accepted = 0", model),
    )


def films(journal: Journal) -> int:
    """The number of films, whatever became of them."""
    return int(_value(journal, "SELECT COUNT(*) FROM (SELECT DISTINCT key, id FROM rows)"))


def latest_call(journal: Journal) -> dict[str, Any]:
    """Start, end, server and error of the latest call, when the first one started, and how many there were."""
    query = "SELECT *, (SELECT MIN(started) FROM calls) AS first, COUNT(*) OVER () AS calls FROM calls"
    (row,) = journal.select(f"{query} ORDER BY number DESC LIMIT 1")
    facts = json.loads(row["facts"])
    return {
        "started": row["first"],
        "ended": row["ended"],
        "calls": row["calls"],
        "server": facts["call"]["server"],
        "stopped": facts["stopped"],
    }


def _value(journal: Journal, query: str, *values: str) -> Any:
    return next(iter(journal.select(query, values)))[0]


def _counted(journal: Journal, query: str, model: str) -> dict[Any, int]:
    return {name: count for name, count in journal.select(query, [model])}


def _labels(journal: Journal, model: str) -> tuple[str, ...]:
    query = "SELECT shares FROM answers WHERE model = ? LIMIT 1"
    return tuple(label for (shares,) in journal.select(query, [model]) for label in json.loads(shares))


def _ill(journal: Journal, model: str, labels: tuple[str, ...]) -> str:
    query = "SELECT border FROM answers WHERE model = ? AND border != '' LIMIT 1"
    border = next((border for (border,) in journal.select(query, [model])), "")
    return f"{border} and above" if border in labels[:-1] else "".join(labels[-1:])


def _median(journal: Journal, model: str) -> float | None:
    query = (
        "SELECT latency_ms FROM answers WHERE model = ?1 AND attempts > 0 ORDER BY latency_ms LIMIT 1 "
        "OFFSET (SELECT COUNT(*) / 2 FROM answers WHERE model = ?1 AND attempts > 0)"
    )
    return next((latency for (latency,) in journal.select(query, [model])), None)


def agreements(journal: Journal) -> list[Agreement]:
    """One entry per pair of models that answered the same films."""
    models = sorted({model for model, _ in journal.counts()})
    pairs = (_agreement(journal, first, second) for first, second in combinations(models, 2))
    return [agreement for agreement in pairs if agreement.both]


def _agreement(journal: Journal, first: str, second: str) -> Agreement:
    query = (
        "SELECT a.label, b.label, COUNT(*) FROM answers a JOIN answers b ON a.key = b.key AND a.id = b.id "
        "WHERE a.model = ? AND b.model = ? GROUP BY 1, 2"
    )
    counts = {(row[0], row[1]): row[2] for row in journal.select(query, [first, second])}
    labels = tuple(dict.fromkeys((*_labels(journal, first), *_labels(journal, second))))
    both = sum(counts.values())
    same = sum(count for (a, b), count in counts.items() if a == b)
    return Agreement(first, second, both, same, kappa(counts), counts, labels)


def kappa(counts: Mapping[tuple[str, str], int]) -> float | None:
    """Cohen's kappa of a table of counts; None where both give one label to all films, or there are none."""
    labels = {label for pair in counts for label in pair}
    value = float(cohen_kappa(np.array([[counts.get((a, b), 0) for b in labels] for a in labels], np.float64)))
    return None if np.isnan(value) else value


def look_first(journal: Journal, limit: int) -> list[Record]:
    """Films that a person should see first, one row each: referred ones, then by the probability of being ill.

    Each row has the columns of the model for which that is so, and `share` and `referred` beside them.
    """
    query = (
        "SELECT *, IFNULL(finding_triage = 'refer', 0) AS referred, "
        "MAX(2 * IFNULL(finding_triage = 'refer', 0) + IFNULL(share, -1)) AS first "
        "FROM answers GROUP BY key, id ORDER BY first DESC LIMIT ?"
    )
    return list(journal.select(query, [limit]))


def divided(journal: Journal, limit: int) -> list[Record]:
    """Films over which the members of an ensemble disagree most, with `share` as in `look_first`."""
    query = (
        "SELECT * FROM answers WHERE members_agreeing < members "
        "ORDER BY 1.0 * members_agreeing / members, share DESC LIMIT ?"
    )
    return list(journal.select(query, [limit]))


def errors(journal: Journal, limit: int) -> tuple[dict[str, int], list[Record]]:
    """Rows without an answer: their number by code, and the first of them."""
    counts = journal.select(
        "SELECT error_code, COUNT(*) FROM rows WHERE error_code IS NOT NULL AND status != 'pending' "
        "GROUP BY 1 ORDER BY 2 DESC"
    )
    listed = journal.select(
        "SELECT * FROM rows WHERE error_code IS NOT NULL AND status != 'pending' ORDER BY error_code, key LIMIT ?",
        [limit],
    )
    return {row[0]: row[1] for row in counts}, list(listed)
