"""Executor that trains the folds of a cross-validation on the machines of a Ray cluster."""

# mypy: disable-error-code="import-untyped"
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from osteolens.cluster import ray_session, resources
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.member import Member


class RayExecutor(Executor):
    """Runs `osteolens.training.member.train_member` where Ray has free cores; used like a process pool.

    A fold whose machine is lost is started again elsewhere, and goes on from its checkpoint: the run's folder must be
    one that all machines share. Where the cluster has GPUs, each fold gets one.
    """

    def __init__(self) -> None:
        self._session = ray_session()
        self._pictures: dict[int, Any] = {}
        self._refs: list[Any] = []

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def submit(self, train: Callable[..., None], /, *arguments: Any, **_: Any) -> Future[None]:  # type: ignore[override]
        """Train one fold; `arguments` are those of `train_member`: configuration, member, cohort and threads."""
        import ray

        config, member, cohort, threads = arguments
        # Ray retries lost machines only, and those as often as it takes; an error of the code ends the fold.
        remote = ray.remote(num_cpus=threads, num_gpus=1 if "GPU" in resources() else 0, max_retries=-1)(_train)
        pictures = self._stored(cohort)
        bare = replace(cohort, pictures=np.empty(0, np.uint8))
        ref = remote.remote(train, config, member, bare, threads, pictures)
        self._refs.append(ref)
        future: Future[None] = Future()
        ref.future().add_done_callback(lambda done: _pass_on(done, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the unfinished folds, or stop them."""
        import ray

        if cancel_futures:
            for ref in self._refs:
                ray.cancel(ref, force=True)
        elif wait and self._refs:
            ray.wait(self._refs, num_returns=len(self._refs))
        self._refs.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._session.__exit__(kind, error, trace)

    def _stored(self, cohort: Cohort) -> Any:
        """The cohort's pictures in Ray's store: all folds have the same, and machines share one copy of them."""
        import ray

        key = id(cohort.pictures)
        if key not in self._pictures:
            self._pictures[key] = ray.put(cohort.pictures)
        return self._pictures[key]


def _train(
    train: Callable[..., None], config: Configuration, member: Member, cohort: Cohort, threads: int, pictures: Any
) -> None:
    train(config, member, replace(cohort, pictures=pictures), threads)


def _pass_on(done: Future[Any], future: Future[None]) -> None:
    """Copy how a task ended, with the error that its own code raised and not the RayTaskError around it."""
    error = done.exception()
    if error:
        future.set_exception(getattr(error, "cause", None) or error)
    else:
        future.set_result(None)
