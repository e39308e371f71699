"""Which process runs which tests, and in what order, when processes run them side by side (`--dist loadfile`)."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = (("tests/web/browser/",), ("tests/e2e/test_server.py", "tests/e2e/test_metrics.py"))
"""Files, and folders of them, that share what takes long to start."""
LONGEST = (
    "tests/web/browser/", "tests/test_docs.py", "tests/e2e/test_restart.py", "tests/web/test_serve_web.py",
    "tests/test_wheel.py", "tests/batch/ray/test_ray.py",
)  # fmt: skip
"""Minutes each, of one process: the longest first."""


class Scheduling(LoadFileScheduling):
    """A file's tests run in one process, and so do those of some files."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group[0] for group in TOGETHER if nodeid.startswith(group)), str(super()._split_scope(nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, then files with slow tests: when a process finds no more work, no other has much left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[int, bool]:
        known = (number for number, name in enumerate(LONGEST) if item.nodeid.startswith(name))
        return next(known, len(LONGEST)), item.path not in slow

    items.sort(key=place)
