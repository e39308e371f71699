"""Logs of a training run: progress bar, table, TensorBoard events and curves."""

import csv
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from torch.utils.tensorboard import SummaryWriter

from osteolens.files import whole
from osteolens.training.checkpoint import Progress, Row

PANELS = {
    "Loss": ("training loss", "validation loss"),
    "Validation films": ("validation accuracy", "validation balanced accuracy", "validation quadratic-weighted kappa"),
    "T-score (standard deviations)": ("validation T-score MAE",),
    "Learning rate": ("learning rate",),
}


class RunLog:
    """`log.csv` and `tensorboard/` in a run's folder.

    Both are written from the checkpoint's history, so that a continued run has no gaps and no duplicates.
    """

    def __init__(self, folder: Path, history: Sequence[Row]) -> None:
        self.table = folder / "log.csv"
        events = folder / "tensorboard"
        # TensorBoard appends: epochs after the last checkpoint would be there twice.
        shutil.rmtree(events, ignore_errors=True)
        self.writer = SummaryWriter(events)
        for row in history:
            self._events(row)
        self._table(history)

    def add(self, history: Sequence[Row]) -> None:
        """Log the last epoch of a history."""
        self._events(history[-1])
        self._table(history)

    def close(self) -> None:
        """Flush the events that TensorBoard has buffered."""
        self.writer.close()

    def _events(self, row: Row) -> None:
        epoch, *figures = row.items()
        for name, value in figures:
            self.writer.add_scalar(name, value, int(epoch[1]))

    def _table(self, history: Sequence[Row]) -> None:
        with whole(self.table) as draft, draft.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in history for key in row)))
            writer.writeheader()
            writer.writerows(history)


def progress_bar(console: Console) -> ProgressBar:
    """Progress bar of training steps; its field `loss` is a text."""
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
    )


def epoch_line(progress: Progress, epochs: int) -> str:
    """One line about the last epoch."""
    row = progress.history[-1]
    line = f"epoch {len(progress.history)}/{epochs}  loss {row['training loss']:.3f}  {row['seconds']:.0f} s"
    if "validation loss" not in row:
        return line
    best = "  best so far" if progress.best_epoch == len(progress.history) else ""
    return (
        f"{line}  validation loss {row['validation loss']:.3f}, "
        f"balanced accuracy {row['validation balanced accuracy']:.3f}{best}"
    )


def draw_curves(progress: Progress, path: Path) -> None:
    """One panel per kind of figure over the epochs, with the best epoch marked."""
    drawn = {key for row in progress.history for key in row}
    panels = [(title, [key for key in keys if key in drawn]) for title, keys in PANELS.items()]
    panels = [(title, keys) for title, keys in panels if keys]
    figure = Figure(figsize=(4.5 * len(panels), 5), layout="constrained")
    for axes, (title, keys) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, title, keys, progress)
    with whole(path) as draft:
        figure.savefig(draft, dpi=120)


def _draw(axes: Axes, title: str, keys: Sequence[str], progress: Progress) -> None:
    epochs = [row["epoch"] for row in progress.history]
    for key in keys:
        axes.plot(epochs, [row.get(key, math.nan) for row in progress.history], marker=".", label=key)
    axes.axvline(progress.best_epoch, color="grey", linestyle=":", label=f"best epoch ({progress.best_epoch})")
    axes.set(title=title, xlabel="Epoch")
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))  # beside the curves, not on them
