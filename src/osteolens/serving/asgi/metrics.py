"""Counts and times for Prometheus, by the names and labels of handlers/metrics.yaml.

Written by hand because prometheus_client ends the name of each counter in `_total`, and TorchServe does not: dashboards
and alerts must not care which engine serves.
"""

import socket
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import yaml

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper ends in seconds, as TorchServe has them."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Labels = tuple[str, ...]


class Metrics:
    """All metrics of a server.

    Args:
        config: A metrics file of TorchServe; a metric that is not named in it cannot be counted.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        declared = yaml.safe_load(config.read_text())
        self._dimensions: dict[str, list[str]] = {}
        self._types: dict[str, str] = {}
        for part in ("ts_metrics", "model_metrics"):
            for kind, metrics in declared[part].items():
                for metric in metrics:
                    # As TorchServe does, which adds its host to the handler's metrics.
                    added = ["Hostname"] if part == "model_metrics" else []
                    self._dimensions[metric["name"]] = [*metric["dimensions"], *added]
                    self._types[metric["name"]] = kind
        self._values: dict[str, dict[_Labels, float]] = {name: defaultdict(float) for name in self._types}
        self._buckets: dict[tuple[str, _Labels], list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._host = socket.gethostname()

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a counter; labels in the order of the file, without the host."""
        self._values[name][labels] += value

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._values[name][labels] = value

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        self._values[name][labels] += value
        self._buckets[name, labels][bisect_left(BUCKETS, value)] += 1

    def empty(self) -> "Metrics":
        """Another with the same metrics and nothing counted."""
        return Metrics(self._config)

    def state(self) -> list[tuple[str, _Labels, float, list[int]]]:
        """All that was counted, for `merge`: name, labels, value, and a histogram's buckets."""
        return [
            (name, labels, value, self._buckets[name, labels] if self._types[name] == "histogram" else [])
            for name, values in self._values.items()
            for labels, value in values.items()
        ]

    def merge(self, state: list[tuple[str, Sequence[str], float, list[int]]]) -> None:
        """Add what was counted elsewhere; of a gauge the larger value stays."""
        for name, labels, value, buckets in state:
            values, key = self._values[name], tuple(labels)
            values[key] = max(values[key], value) if self._types[name] == "gauge" else values[key] + value
            for place, count in enumerate(buckets):
                self._buckets[name, key][place] += count

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        return "".join(line for name in self._types for line in self._lines(name))

    def _lines(self, name: str) -> list[str]:
        lines = [f"# HELP {name} see handlers/metrics.yaml\n", f"# TYPE {name} {self._types[name]}\n"]
        for labels, value in self._values[name].items():
            shown = self._shown(name, labels)
            if self._types[name] != "histogram":
                lines.append(f"{name}{{{shown}}} {value}\n")
                continue
            total = 0
            for end, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets[name, labels], strict=True):
                total += count
                lines.append(f'{name}_bucket{{{shown},le="{end}"}} {total}\n')
            lines += [f"{name}_count{{{shown}}} {total}\n", f"{name}_sum{{{shown}}} {value}\n"]
        return lines

    def _shown(self, name: str, labels: _Labels) -> str:
        values = iter(labels)
        pairs = (
            (dimension, self._host if dimension.lower() == "hostname" else next(values))
            for dimension in self._dimensions[name]
        )
        return ",".join(f'{dimension}="{_escaped(value)}"' for dimension, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
