"""Which process runs which tests, and in what order, when processes run them side by side (`--dist loadfile`)."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = (("tests/web/browser/",), ("tests/e2e/test_server.py", "tests/e2e/test_metrics.py"))
"""Files, and folders of them, that share what takes long to start."""


class Scheduling(LoadFileScheduling):
    """A file's tests run in one process, and so do those of some files."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group[0] for group in TOGETHER if nodeid.startswith(group)), str(super()._split_scope(nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: at the end, when a process finds no more work, the other has no long one left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
