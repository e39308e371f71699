"""One model's backends, each in a process of its own, measured in turns."""

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.progress import Progress

from osteolens.bench import parity
from osteolens.bench.machine import Watch
from osteolens.bench.plan import EAGER, OPENVINO, Settings, Setup, cases
from osteolens.bench.processes import BackendProcess, CannotRun
from osteolens.bench.results import Case, Measurement, Parity, Run, Scope
from osteolens.bench.turns import Series, take_turns
from osteolens.card import INT8_FILE, ONNX_FILE, Card, load_card
from osteolens.console import EXPORTS
from osteolens.errors import BenchmarkError
from osteolens.inference.runtimes import loading

FILES = {str(backend): file for backend, file in loading.FILES.items()} | dict.fromkeys(OPENVINO, ONNX_FILE)
"""Exported file of each backend; the others start from the model folder."""
_SPARE_BYTES = 1024**3
"""Memory to be left when all processes are there: a machine that swaps measures its disk."""


class Exports:
    """The exported files of one model.

    Args:
        model: Model folder.
        card: Its card.
        folder: Where `export/` left its files; default `build/<name>`.
        made: Folder for what is missing there.

    Raises:
        BenchmarkError: A folder that was named is not there.
    """

    def __init__(self, model: Path, card: Card, folder: Path | None, made: Path) -> None:
        if folder and not folder.is_dir():
            raise BenchmarkError(f"there is no folder {folder}: --exports takes one such as {EXPORTS / card.name}")
        self.model, self.folder, self.made = model, folder or EXPORTS / card.name, made

    def folder_of(self, backend: str) -> Path | None:
        """The folder that holds the backend's file (any for one without); none where it is not there.

        A missing graph or TorchScript module is made, a quantized graph is not: how it was calibrated is a choice.

        Raises:
            ExportError, CardError: It cannot be made.
        """
        file = FILES.get(backend)
        for folder in (self.folder, self.made):
            if file is None or (folder / file).is_file():
                return folder
        if file == INT8_FILE:
            return None
        from osteolens.exporting.onnx import to_onnx
        from osteolens.exporting.torchscript import to_torchscript

        write = to_onnx if file == ONNX_FILE else to_torchscript
        return write(self.model, self.made).parent


@dataclass(frozen=True)
class _Contender:
    """A process, the cases it measures, and how far its answers are from eager's."""

    process: BackendProcess
    series: list[Series]
    parity: dict[Case, Parity]

    def measurements(self, run_id: str) -> list[Measurement]:
        costs = self.process.costs()
        return [
            entry.measurement(run_id, parity=self.parity[entry.case], process=costs)
            for entry in self.series
            if entry.rounds
        ]


class ModelRun:
    """Measures the backends of one model.

    Args:
        model: Model folder.
        exports: Folder of its exported files; default `build/<name>`.
        settings: What to measure.
        films: Files of films.
        folder: For temporary files; it must not be there yet, and is the caller's to delete.
        progress: Shows what is being done.
    """

    def __init__(
        self,
        model: Path,
        exports: Path | None,
        settings: Settings,
        films: Sequence[Path],
        folder: Path,
        progress: Progress,
    ) -> None:
        folder.mkdir()
        self.card: Card = load_card(model)
        self.exports = Exports(model, self.card, exports, folder / "exports")
        self.model, self.settings, self.films = model, settings, tuple(films)
        self.folder, self.progress = folder, progress
        self.left_out: dict[str, str] = {}

    def measure(self) -> Run:
        """Start every process, let them take turns, and end them; Ctrl-C ends the turns early.

        Raises:
            BenchmarkError: A backend that was named cannot run, or one ended of itself; or memory is short.
            CardError, ExportError: An exported file is broken or another model's.
            KeyboardInterrupt: Ctrl-C before the first turn.
        """
        started, run_id = time.perf_counter(), secrets.token_hex(6)
        with ExitStack() as stack:
            contenders = self._start_all(stack)
            owner = {entry.case: contender for contender in contenders for entry in contender.series}
            watch = Watch([contender.process.pid for contender in contenders])

            def turn(series: Series, index: int) -> None:
                calls, warm_up, batch = self.settings.calls, int(self.settings.warm_up), series.case.batch
                first = index * calls * batch % len(self.films)
                latencies = owner[series.case].process.turn(series.case, first, calls, warm_up)
                series.add(index, latencies, 1000 * batch * calls / sum(latencies))

            series = [entry for contender in contenders for entry in contender.series]
            complete = take_turns(series, self.settings.rounds, self.settings.seed, turn, self.progress)
            return Run(
                id=run_id,
                model=self.card.name,
                version=self.card.version,
                card_sha256=self.card.sha256,
                complete=complete,
                left_out=self.left_out,
                others_percent=round(watch.others_percent(), 1),
                measurements=tuple(entry for contender in contenders for entry in contender.measurements(run_id)),
                seconds=round(time.perf_counter() - started, 1),
            )

    def _start_all(self, stack: ExitStack) -> list[_Contender]:
        threads = self.settings.thread_counts
        backends = self.settings.backends
        task = self.progress.add_task(f"{self.card.name}: what eager answers", total=len(backends) * len(threads) + 1)
        references = self._references()
        self.progress.advance(task)
        contenders = []
        for backend in backends:
            try:
                for count in threads:
                    label = f"{self.card.name}: starting {backend}, threads: {count}"
                    self.progress.update(task, description=label)
                    contenders.append(self._start(backend, count, references, stack))
                    self.progress.advance(task)
                    _check_memory(len(contenders))
            except CannotRun as reason:
                if self.settings.must_run:
                    raise BenchmarkError(f"{backend} cannot run here: {reason}") from reason
                self.left_out[backend] = str(reason)
                self.progress.advance(task, len(threads))
        self.progress.remove_task(task)
        return contenders

    def _start(
        self, backend: str, threads: int, references: dict[Scope, parity.Outputs], stack: ExitStack
    ) -> _Contender:
        process = stack.enter_context(self._process(backend, threads))
        planned = cases(self.card.name, backend, threads, self.settings)
        return _Contender(
            process,
            [Series(case) for case in planned],
            {case: parity.compare(references[case.scope], process.outputs(case)) for case in planned},
        )

    def _references(self) -> dict[Scope, parity.Outputs]:
        """What the eager model answers, with heat maps by gradients; its process is not one of those measured."""
        with self._process(EAGER, 1) as process:
            return {
                scope: process.outputs(
                    Case(model=self.card.name, backend=EAGER, scope=scope, heat_map="grad-cam", threads=1)
                )
                for scope in self.settings.scopes
            }

    def _process(self, backend: str, threads: int) -> BackendProcess:
        exports = self.exports.folder_of(backend)
        if exports is None:
            raise CannotRun(f"there is no {FILES[backend]} in {self.exports.folder}")
        setup = Setup(model=self.model, backend=backend, exports=exports, threads=threads, films=self.films)
        return BackendProcess(setup, self.folder / f"process-{len(list(self.folder.iterdir()))}")


def _check_memory(processes: int) -> None:
    available = psutil.virtual_memory().available
    if available < _SPARE_BYTES:
        raise BenchmarkError(
            f"with {processes} processes only {available >> 20} MiB of memory are left, and {_SPARE_BYTES >> 20} are "
            "needed: measure less at once, for example --backend eager --backend onnx-fp32 --threads 1"
        )
