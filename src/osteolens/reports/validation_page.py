"""The page of a validation, and the tables that a recalibration has too."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from osteolens.card import Evaluation, Metric
from osteolens.evaluation.external import EVENTS, Validation
from osteolens.evaluation.maps.findings import MapChecks
from osteolens.evaluation.slope import IN_THE_LARGE, SLOPE
from osteolens.reports.figures import key_figures, with_interval
from osteolens.reports.figures_page import Row, Table, TextTable, write_figures_page


def write_validation_page(
    out: Path, validation: Validation, films: str, maps: MapChecks | None, remarks: Sequence[str]
) -> None:
    """Write the page of a validation."""
    answers, table = validation.answers, validation.answers.predictions
    truth = [film.label for film in table.films]
    counts = ", ".join(f"{label}: {truth.count(label)}" for label in table.labels)
    title = f"{answers.name} {answers.version}"
    write_figures_page(
        out,
        validation.evidence,
        name=answers.name,
        heading=f"{title}: validation on {films}",
        summary=f"{answers.evidence.leading} The figures below are of {title} on {len(truth)} films of "
        f"{len(set(table.groups))} groups ({counts}), as it is served: nothing of it was fitted on these films. The "
        "baselines were, each film's on the other fifths of the groups.",
        maps=maps,
        facts=[("model", title), ("card sha256", answers.card_sha256), ("films", films)],
        remarks=remarks,
        no_overlays="Example maps are left out, so that the page holds no films.",
        tables=list(further_tables(validation)),
    )


def further_tables(validation: Validation) -> Iterator[Table | TextTable]:
    """What a validation has beside a run: calibration at the place, another model, films needed."""
    yield Table(
        "Calibration at this place",
        "Calibration in the large and slope, 95 % intervals below",
        "Predictor",
        [Row(each.subject, {metric.name: metric for metric in each.metrics}) for each in validation.calibration],
        "Calibration in the large: 0 is right, above 0 the finding is more frequent here than predicted. Slope: 1 is "
        "right, below 1 answers are too extreme. Observed to expected: films with the finding, over the sum of their "
        "probabilities. T-score slope: of measured over predicted values.",
    )
    if comparison := validation.comparison:
        yield comparison_table(f"Compared with {comparison.name}", comparison.ours + comparison.theirs)
        yield Table(
            "",
            f"Paired differences on {comparison.films} films of {comparison.groups} groups and the same resamples; an "
            "interval that contains 0 shows no difference",
            "Compared",
            [
                Row(f"{pair.predictor}, less {pair.baseline}", key_metrics(pair.metrics), paired=True)
                for pair in comparison.differences
            ],
        )
    yield needed_table(validation)


def comparison_table(heading: str, evaluations: Sequence[Evaluation]) -> Table:
    """Key figures side by side."""
    rows = [Row(each.subject, key_metrics(each.metrics)) for each in evaluations]
    return Table(heading, "Both on the same films, 95 % intervals below", "Predictor", rows)


def key_metrics(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """The figures that tables of two models show, by name."""
    named = {metric.name: metric for metric in metrics}
    further = [name for name in named if name.startswith((IN_THE_LARGE, SLOPE, "Brier"))]
    return {name: named[name] for name in [*key_figures(list(named)), *further]}


def needed_table(validation: Validation) -> TextTable:
    """How many films an interval of the wanted width would take."""
    events = validation.events
    rare = ", ".join(f"{count} {name}" for name, count in events.items())
    enough = min(events.values()) >= EVENTS
    return TextTable(
        "How many films it would take",
        f"Films for a 95 % interval of +- {validation.half_width:g}, if they are like these",
        ("Figure", "now", "films", "groups"),
        [
            (
                f"{each.predictor}: {each.metric.name}",
                with_interval(each.metric),
                f"{each.films:,}",
                f"{each.groups:,}",
            )
            for each in validation.needed
            if each.films and each.groups
        ],
        f"An interval's width goes with one over the root of the number of groups; figures that were the same in all "
        f"resamples tell nothing of that. There are {rare} films; at least "
        f"{EVENTS} of each are commonly asked of a validation" + (", which these are." if enough else "."),
    )
