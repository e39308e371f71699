"""The PromQL of deploy/, and which metrics and labels it reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "osteolens.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
OF_PROMETHEUS = {"up"}
"""Metrics that Prometheus itself makes of each scrape."""
OF_A_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds."""


def expressions() -> list[str]:
    """Every expression of the dashboard and the alerts, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    return [
        expression.replace("$__rate_interval", "1m").replace("$model", ".*")
        for expression in shown + [rule["expr"] for rule in rules]
    ]


def read_by(expression: str) -> dict[str, set[str]]:
    """Labels by metric that an expression reads; labels it groups by are needed of every metric below.

    Raises:
        ValueError: It is no PromQL.
    """
    read: dict[str, set[str]] = {}
    for name, labels in _selected(promql_parser.parse(expression), set()):
        read.setdefault(name, set()).update(labels)
    return read


def _selected(node: object, grouped: set[str]) -> Iterator[tuple[str, set[str]]]:
    match node:
        case promql_parser.VectorSelector():
            yield str(node.name), grouped | {matcher.name for matcher in node.matchers.matchers}
        case promql_parser.MatrixSelector():
            yield from _selected(node.vector_selector, grouped)
        case promql_parser.AggregateExpr():
            by = set(node.modifier.labels) if node.modifier else set()
            yield from _selected(node.expr, grouped | by)
        case promql_parser.BinaryExpr():
            yield from _selected(node.lhs, grouped)
            yield from _selected(node.rhs, grouped)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selected(argument, grouped)
        case promql_parser.ParenExpr():
            yield from _selected(node.expr, grouped)
        case promql_parser.NumberLiteral():
            return
        case _:
            raise TypeError(f"write down here what {type(node).__name__} reads")
