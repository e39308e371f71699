"""Ray cluster to work on: a running one, or a new one on this machine's cores."""

# mypy: disable-error-code="import-untyped"
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from osteolens.errors import BatchError


@contextmanager
def ray_session() -> Iterator[None]:
    """Join a cluster, or start one on this machine, until the block ends; a session that is already open is used.

    The variable RAY_ADDRESS names the cluster; without it, a cluster of this machine by `ray start` is used.

    Raises:
        BatchError: Ray is not installed, or no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: Ray reports its usage by default
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else Ray logs its own start of actors as an error
    try:
        import ray
    except ModuleNotFoundError as error:
        raise BatchError(f"this needs {error.name}: pip install 'osteolens[scale]'") from error
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError) as error:
        raise BatchError(
            f"no Ray cluster can be joined at {os.environ.get('RAY_ADDRESS', 'this machine')}: {error}; RAY_ADDRESS is "
            "such as 10.0.0.7:6379, and without it this machine's cores are used"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def cores() -> int:
    """Number of cores of the whole cluster, 1 or more."""
    return max(1, int(resources().get("CPU", 1)))


def resources() -> dict[str, float]:
    """Resources of the whole cluster: name to amount, such as `CPU` and `GPU`."""
    import ray

    amounts: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return amounts
