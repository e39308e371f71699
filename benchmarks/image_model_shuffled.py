"""What the planned image model makes of labels that say nothing: many shuffles of them, each fitted as the real ones.

    python benchmarks/image_model.py --data films.csv --out runs/image_model
    python benchmarks/image_model_shuffled.py --data films.csv --out runs/image_model --shuffles 20

--out is the folder of the first command, whose features and primary figure are used. It gets shuffled.csv, a row per
shuffle as soon as it is scored, so that a killed run goes on, and a longer one adds to it. The summary says where the
primary figure lies among the shuffles, with a permutation p over groups. Columns that rank within folds say how much
comes from pooling the folds' answers.
"""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from image_model import ALL, QUESTION, Features, cross_validated, shuffled
from numpy.typing import NDArray
from rich.console import Console

from osteolens.card import BEYOND_ACQUISITION
from osteolens.console import one_line_errors
from osteolens.datasets.films import Film, read_films
from osteolens.errors import DataError
from osteolens.evaluation import measures
from osteolens.evaluation.acquisition import residual_of
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.metrics import WITHIN_FAMILIES, WITHIN_FOLDS
from osteolens.evaluation.predictions import Predictions
from osteolens.evidence import IMAGE
from osteolens.labels import LABELS

Floats = NDArray[np.float64]
SOLVER = "newton-cholesky"
"""Reaches the minimum of lbfgs, by which the planned model was fitted, in a fraction of the time."""
PRIMARY = "beyond acquisition, within families"
IN_ONE_FOLD = "beyond acquisition, within families and folds"


def statistics(predictions: Predictions) -> dict[str, float]:
    """The plan's primary figure of one fit, and the AUROCs that explain it."""
    evidence = evaluate(predictions, resamples=2)  # no interval is wanted
    figures = {(each.subject, metric.name): metric.value for each in evidence.evaluations for metric in each.metrics}
    image = next(each for each in evidence.predictors if each.name == IMAGE)
    ill, one = predictions.truth == LABELS.index("osteoporosis"), np.ones((1, len(predictions.truth)))
    places = predictions.fold * (predictions.family.max() + 1) + predictions.family
    residuals = [residual_of(predictions, shares)[:, -1] for shares in image.probabilities]
    raw = np.exp(predictions.logits[..., -1])
    return {
        PRIMARY: figures[BEYOND_ACQUISITION, f"{WITHIN_FAMILIES} {QUESTION}"],
        IN_ONE_FOLD: float(np.mean([
            measures.auroc_within(score, ill, one, place) for score, place in zip(residuals, places, strict=True)
        ])),
        "beyond acquisition": figures[BEYOND_ACQUISITION, f"AUROC {QUESTION}"],
        "AUROC": figures[IMAGE, f"AUROC {QUESTION}"],
        "AUROC within folds": figures[IMAGE, f"{WITHIN_FOLDS} {QUESTION}"],
        "AUROC before calibration": float(np.mean([measures.auroc(score, ill, one) for score in raw])),
        "AUROC before calibration, within folds": float(np.mean([
            measures.auroc_within(score, ill, one, fold) for score, fold in zip(raw, predictions.fold, strict=True)
        ])),
    }  # fmt: skip


def primary(path: Path) -> float:
    """The value of the plan's primary figure.

    Raises:
        DataError: The file is missing, or has no such row.
    """
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if row["role"] == "primary":
                    return float(row["value"])
    raise DataError(f"{path} has no primary figure: run benchmarks/image_model.py with the same --out first")


def summary(rows: list[dict[str, float]], observed: float) -> dict[str, str]:
    """Mean, standard error, spread and range of each figure over shuffles; and the primary figure's permutation p."""
    lines = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        spread = values.std(ddof=1)
        lines[name] = (
            f"mean {values.mean():.3f} +- {spread / len(values) ** 0.5:.3f}, "
            f"standard deviation {spread:.3f}, {values.min():.3f} to {values.max():.3f}"
        )
    reached = sum(row[PRIMARY] >= observed for row in rows)
    lines["p"] = (
        f"{(1 + reached) / (1 + len(rows)):.3f}: {observed:.3f} is reached by {reached} of {len(rows)} shuffles"
    )
    return lines


def bare(films: list[Film], acquisition: list[Floats]) -> list[Film]:
    """The films with their acquisition and without patient facts, which no figure here needs."""
    return [
        replace(film, acquisition=tuple(values.tolist()), age=np.nan, sex="", weight_kg=np.nan, height_m=np.nan)
        for film, values in zip(films, acquisition, strict=True)
    ]


@one_line_errors
def main(
    data: Annotated[Path, typer.Option(help="The table of films that benchmarks/image_model.py had.")],
    out: Annotated[Path, typer.Option(help="The --out of benchmarks/image_model.py.")],
    shuffles: Annotated[int, typer.Option(min=2, help="How many shuffles.")] = 20,
    people: Annotated[Path, typer.Option(help="Reader of persons.")] = Path("weights/knee_people"),
) -> None:
    """Fit the planned image model to shuffled labels, many times."""
    torch.set_num_threads(1)
    console, observed = Console(), primary(out / "figures.csv")
    films, features = read_films(data, "conflict"), Features(out / "features", people)
    blocks = [features.of(film) for film in films]
    films, path = bare(films, [row["acquisition"] for row in blocks]), out / "shuffled.csv"
    rows: list[dict[str, float]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    for seed in range(len(rows), shuffles):
        mixed = shuffled(films, seed)
        fitted = cross_validated(blocks, mixed, Console(quiet=True), SOLVER)[ALL]
        rows.append({"shuffle": seed, **statistics(fitted)})
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
            if not seed:
                writer.writeheader()
            writer.writerow({name: round(value, 4) for name, value in rows[-1].items()})
        console.print(rows[-1])
    for row in rows:
        row.pop("shuffle")
    console.print(summary(rows, observed))


if __name__ == "__main__":
    typer.run(main)
