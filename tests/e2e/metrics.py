"""Reads a metrics_address."""

import re
import time
from collections import Counter
from collections.abc import Callable

import httpx

from osteolens.serving.torchserve import Server

_SAMPLE = re.compile(r"(\w+)\{(.*?),?\} (\S+)")  # TorchServe adds a comma
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Sample = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels."""


def text_of(server: Server) -> str:
    """All metrics as they are served."""
    return httpx.get(f"{server.settings['metrics_address']}/metrics").raise_for_status().text


def values(server: Server) -> Counter[Sample]:
    """Value by sample, without the label of the host."""
    found: Counter[Sample] = Counter()
    for name, labels, value in _SAMPLE.findall(text_of(server)):
        kept = frozenset(pair for pair in _LABEL.findall(labels) if pair[0].lower() != "hostname")
        found[name, kept] += float(value)  # type: ignore[assignment]
    return found


def families(server: Server) -> set[str]:
    """Names of all metrics, those too of which nothing was counted yet."""
    return set(re.findall(r"^# TYPE (\w+) ", text_of(server), re.MULTILINE))


def grown(server: Server, before: Counter[Sample], enough: Callable[[Counter[Sample]], bool]) -> Counter[Sample]:
    """What was counted since; TorchServe reads a worker's counts a moment after its answer."""
    deadline = time.monotonic() + 60
    while True:
        now = values(server)
        since = Counter({sample: now[sample] - before[sample] for sample in now})
        if enough(since) or time.monotonic() > deadline:
            return since
        time.sleep(0.05)
