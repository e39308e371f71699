"""The sections of a model's page that hold figures, each as Markdown; one without content is empty."""

from collections.abc import Sequence

from osteolens.card import Evaluation, Metric
from osteolens.evaluation.evidence import Evidence
from osteolens.evaluation.predictors import IMAGE
from osteolens.reports.figures import key_figures, percent, signed, table, with_interval
from osteolens.reports.shipped import Model
from osteolens.reports.verdicts import of_another_label, reasons_for_no_triage


def evaluation(model: Model) -> str:
    """All predictors side by side, and their paired differences."""
    evidence = model.evidence
    protocols = "\n".join(
        f"- {each.subject}: {each.films} films of {each.groups} groups; {each.protocol}." for each in model.evaluations
    )
    parts = ["## Evaluation", _side_by_side(model.evaluations), protocols]
    if evidence is None:
        parts.append("These figures are copied from the card: no predictions of this model are stored in `evidence/`.")
        return "\n\n".join(parts)
    for source in dict.fromkeys(part.value for part in evidence.per_source):
        there = [part.evaluation for part in evidence.per_source if part.value == source]
        parts += [f"Films from {source} ({there[0].films}):", _side_by_side(there)]
    if evidence.differences:
        parts += ["Paired differences; an interval that contains 0 shows no difference:", _differences(evidence)]
    return "\n\n".join(parts)


def calibration(model: Model) -> str:
    """How the probabilities were calibrated."""
    if model.evidence is None:
        return ""
    choice, chance = model.evidence.calibration, model.evidence.ece_by_chance[IMAGE]
    rows = [[c.method, f"{c.log_loss:.3f}", f"{c.ece:.3f}", f"{c.brier:.3f}"] for c in choice.candidates]
    return (
        f"## Calibration\nChosen: {choice.method}, by the lower log-loss. Each method was fitted on other folds than "
        f"it is scored on. 19 of 20 perfectly calibrated models would stay below an ECE of {chance:.3f} on as many "
        f"films.\n\n"
        f"{table(['method', 'log-loss', 'ECE', 'Brier score'], rows)}"
    )


def triage(model: Model) -> str:
    """Zones and T-score intervals, on films that they were not fitted on."""
    if model.evidence is None:
        return ""
    reasons = reasons_for_no_triage(model.evidence)
    if not (model.evidence.triage or model.evidence.coverage or reasons):
        return ""
    text = (
        "## Operating points and triage\nThresholds and intervals were fitted on other folds than they are scored on."
    )
    text += "".join(f"\n\n{reason}" for reason in reasons)
    for zones in model.evidence.triage:
        labels = model.card.labels
        rows = [
            [
                zone,
                *(f"{counts[label]:.4g}" for label in labels),
                percent(zones.ill[zone]) if zone in zones.ill else "-",
            ]
            for zone, counts in zones.counts.items()
        ]
        reached = "; ".join(f"{metric.name}: {percent(metric)}" for metric in zones.reached)
        text += f"\n\n{zones.predictor}, films per zone (mean over repeats):\n\n"
        text += f"{table(['zone', *labels, f'share of {zones.label}'], rows)}\n\nReached: {reached}."
    rows = [
        [interval.predictor, f"{interval.level:.0%}", percent(interval.covered), f"{interval.mean_width:.2f}"]
        for interval in model.evidence.coverage
    ]
    if rows:
        text += f"\n\nT-score intervals:\n\n{table(['', 'meant', 'contained', 'mean width'], rows)}"
    return text


def subgroups(model: Model) -> str:
    """Figures of the image by sex, age band and device family."""
    if model.evidence is None or not model.evidence.subgroups:
        return ""
    parts = model.evidence.subgroups
    names = key_figures(list(dict.fromkeys(m.name for part in parts for m in part.evaluation.metrics)))
    rows = [
        [f"{part.kind}: {part.value}", str(part.evaluation.films), *(_cell(named.get(name)) for name in names)]
        for part in parts
        for named in [{metric.name: metric for metric in part.evaluation.metrics}]
    ]
    return f"## Subgroups\nThe image alone.\n\n{table(['', 'films', *names], rows)}"


def heat_maps(model: Model) -> str:
    """The checks of the heat maps."""
    maps = model.run.maps if model.run else None
    if maps is None:
        return ""
    areas = {metric.name: metric for metric in maps.differences}
    regions = [
        [region.name, str(region.films), percent(region.mass, 1), percent(region.area, 1), signed(region.difference)]
        for region in maps.regions
    ]
    parts = [
        f"## Heat maps\n{maps.films} films of {maps.groups} groups. {maps.protocol['maps']} {maps.protocol['curves']}",
        of_another_label(model.evidence, maps) if model.evidence else "",
        table(["area under the curve", "difference"], [[name, signed(metric)] for name, metric in areas.items()]),
        maps.protocol["cascade"],
        table(["last stage randomised", "correlation"], [[m.name, with_interval(m)] for m in maps.cascade]),
        maps.protocol["regions"],
        table(["part", "films", "share of the map", "share of the area", "difference"], regions),
    ]
    if maps.height:
        parts.append(f"Height of the centre of mass (0 is the upper edge of the film): {with_interval(maps.height)}.")
    return "\n\n".join(part for part in parts if part)


def quantisation(model: Model) -> str:
    """What the check of each lower precision measured."""
    parts: list[str] = []
    for check in model.card.quantisation:
        rows = [[name, f"{check.auroc_fp32[name]:.3f}", f"{value:.3f}"] for name, value in check.auroc.items()]
        verdict = "Accepted" if check.accepted else f"Refused: {'; '.join(check.reasons)}"
        parts += [
            f"{verdict}. {check.protocol}",
            table([f"{check.films} films", "fp32", check.precision], rows),
            f"Labels that differ: {check.label_disagreement:.1%} (before calibration "
            f"{check.uncalibrated_label_disagreement:.1%}); triage zones: {check.triage_disagreement:.1%}. Largest "
            f"change of a probability: {check.largest_difference:.3f} (before calibration "
            f"{check.largest_uncalibrated_difference:.3f}), mean {check.mean_difference:.4f}. Mean cosine of heat "
            f"maps: {check.map_cosine:.3f}."
            + (f" Heat maps that hold: {check.maps_held:.1%} of {check.maps}." if check.maps_held is not None else ""),
        ]
    return "\n\n".join(["## Quantisation", *parts]) if parts else ""


def _side_by_side(evaluations: Sequence[Evaluation]) -> str:
    """Figures by rows, what was measured by columns."""
    columns = [{metric.name: metric for metric in evaluation.metrics} for evaluation in evaluations]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(_cell(column.get(name)) for column in columns)] for name in names]
    return table(["", *(evaluation.subject for evaluation in evaluations)], rows)


def _differences(evidence: Evidence) -> str:
    named = {
        f"{pair.predictor}, less {pair.baseline}": {metric.name: metric for metric in pair.metrics}
        for pair in evidence.differences
    }
    names = key_figures(list(dict.fromkeys(name for metrics in named.values() for name in metrics)))
    rows = [
        [title, *(signed(metrics[name]) if name in metrics else "-" for name in names)]
        for title, metrics in named.items()
    ]
    return table(["", *names], rows)


def _cell(metric: Metric | None) -> str:
    return with_interval(metric) if metric else "-"
