"""What a run leaves to look at: a table, TensorBoard events, a picture of the curves."""

import csv
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
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

    Both are written from the history, which the checkpoint holds: a continued run has no gaps and no doubles.
    """

    def __init__(self, folder: Path, history: Sequence[Row]) -> None:
        self.table = folder / "log.csv"
        events = folder / "tensorboard"
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
        """Write out what TensorBoard still holds back."""
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
