"""The image model that evidence/plan.md describes, fitted and scored once as it says.

    python benchmarks/image_model.py --data films.csv --out runs/image_model

--out gets features/ (one file per film, so that a killed run goes on), predictions.csv and figures.csv. The plan's
primary figure is the row "primary" of the latter.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from osteolens import models
from osteolens.card import BEYOND_ACQUISITION, Metric, PreprocessSpec
from osteolens.console import one_line_errors
from osteolens.datasets.films import Film, finder_path, read_films
from osteolens.datasets.folds import assign_folds
from osteolens.evaluation import measures
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.metrics import RESAMPLES, WITHIN_FAMILIES, draw, sample
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions
from osteolens.evidence import IMAGE
from osteolens.files import whole
from osteolens.films.acquisition import measure
from osteolens.films.joints import Finder, Joint
from osteolens.films.prepare import cut
from osteolens.films.read import read
from osteolens.labels import LABELS
from osteolens.models import KneeModel
from osteolens.models.people import PeopleReader, equalised, load_reader

Floats = NDArray[np.float64]
SCALES = (0.8, 1.0, 1.25)
SPEC = PreprocessSpec(height=224, width=224, crop_borders=False)
GREYS, DISTANCES, RADII, POINTS = 32, (1, 2, 4), (1, 3), 8
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
FOLDS, REPEATS, STRENGTHS, VARIANCE = 5, 5, (1e-4, 1e-3, 1e-2, 1e-1, 1.0), 0.9
BLOCKS = ("network", "people", "texture")
QUESTION = "osteoporosis vs rest"
ALL = " + ".join(BLOCKS)


class Features:
    """Features of films, each film's in a file of its own."""

    def __init__(self, folder: Path, people: Path) -> None:
        self.folder, self.finder, self.reader = folder, Finder(finder_path()), load_reader(people)
        network = models.build("tf_efficientnet_lite0", 2, has_t_score=False, pretrained=True)
        self.network: KneeModel = models.for_inference(network)
        self._version = finder_path().read_bytes() + self.reader.card.weights_sha256.encode()
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, film: Film) -> dict[str, Floats]:
        """The three blocks, NaN where no knee is framed, and `acquisition`."""
        path = self.folder / f"{hashlib.sha256(film.path.read_bytes() + self._version).hexdigest()[:16]}.npz"
        if not path.exists():
            pixels = read(film.path).pixels
            views = [view for joint in self.finder.find(pixels) for view in _views(pixels, joint, self.reader)]
            parts = [self._of(view) for view in views]
            blocks = {name: np.mean([part[name] for part in parts], axis=0) for name in BLOCKS if parts}
            with whole(path) as draft, draft.open("wb") as stream:
                np.savez(stream, acquisition=measure(pixels), **blocks)
        with np.load(path) as stored:
            return dict(stored)

    def _of(self, view: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> dict[str, Floats]:
        knee, equalised = view
        with torch.no_grad():
            pooled = self.network.features(torch.from_numpy(knee)[None]).mean(dim=(0, 2, 3)).double().numpy()
        outputs, _ = self.reader.read(equalised[None])
        return {"network": pooled, "people": outputs[0], "texture": texture(knee[0])}


def _views(
    pixels: NDArray[np.uint8], joint: Joint, reader: PeopleReader
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """A knee at each scale and its mirror image, uint8 [1, 224, 224], and as the reader of persons takes it."""
    left, top, right, _ = joint.frame
    for scale in SCALES:
        side = round((right - left) * scale)
        # The middle of the frame stays where it is.
        shift = (right - left - side) // 2
        box = (top + shift, left + shift, side, side)
        for mirrored in (False, True):
            yield (
                cut(pixels, box, SPEC, mirrored=mirrored).array,
                equalised(cut(pixels, box, reader.card.preprocess, mirrored=mirrored)),
            )


def texture(knee: NDArray[np.uint8]) -> Floats:
    """Properties of grey-level co-occurrence [12] and shares of local binary patterns [20] of a knee uint8 [H, W]."""
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    pairs = graycomatrix(knee // (256 // GREYS), DISTANCES, angles, levels=GREYS, symmetric=True, normed=True)
    parts = [graycoprops(pairs, name).mean(axis=1) for name in PROPERTIES]
    for radius in RADII:
        codes = local_binary_pattern(knee, POINTS, radius, "uniform").astype(np.int64)
        parts.append(np.bincount(codes.ravel(), minlength=POINTS + 2) / codes.size)
    return np.concatenate(parts)


def table_of(rows: Sequence[dict[str, Floats]], block: str) -> Floats:
    """A block of all films [N, C]; a film without a frame has the median row."""
    width = next(len(row[block]) for row in rows if block in row)
    table = np.array([row.get(block, np.full(width, np.nan)) for row in rows])
    return np.where(np.isnan(table), np.nanmedian(table, axis=0), table)


def shares_of(
    block: str, train: Floats, truth: NDArray[np.int64], test: Floats, solver: str = "lbfgs"
) -> Iterator[Floats]:
    """Probabilities [n, K] of test rows for each of `STRENGTHS`."""
    scaler = StandardScaler().fit(train)
    tables = [scaler.transform(table) for table in (train, test)]
    if block == "network":
        components = PCA(VARIANCE, svd_solver="full").fit(tables[0])
        tables = [components.transform(table) for table in tables]
    for strength in STRENGTHS:
        yield (
            LogisticRegression(C=strength, max_iter=5000, solver=solver).fit(tables[0], truth).predict_proba(tables[1])
        )


def nested(
    block: str, table: Floats, labels: Sequence[str], groups: Sequence[str], seed: int, solver: str = "lbfgs"
) -> Floats:
    """Out-of-fold probabilities [N, K] of a block in one repeat; inner folds choose the strength by log-loss."""
    truth, fold = np.array([LABELS.index(label) for label in labels]), assign_folds(labels, groups, FOLDS, seed)
    shares = np.zeros((len(truth), len(LABELS)))
    for outer in range(FOLDS):
        train, test = np.flatnonzero(fold != outer), fold == outer
        inner = assign_folds([labels[i] for i in train], [groups[i] for i in train], FOLDS, seed)
        answers = np.zeros((len(STRENGTHS), len(train), len(LABELS)))
        for number in range(FOLDS):
            rest, left_out = train[inner != number], train[inner == number]
            answers[:, inner == number] = [*shares_of(block, table[rest], truth[rest], table[left_out], solver)]
        losses = [log_loss(truth[train], answer, labels=range(len(LABELS))) for answer in answers]
        shares[test] = [*shares_of(block, table[train], truth[train], table[test], solver)][int(np.argmin(losses))]
    return shares


def cross_validated(
    rows: Sequence[dict[str, Floats]], films: Sequence[Film], console: Console, solver: str = "lbfgs"
) -> dict[str, Predictions]:
    """Out-of-fold predictions of each block, and of their mean probability."""
    labels, groups = [film.label for film in films], [film.group for film in films]
    fold = np.array([assign_folds(labels, groups, FOLDS, seed) for seed in range(REPEATS)])
    shares: dict[str, Floats] = {}
    for block in BLOCKS:
        table, seeds = table_of(rows, block), track(range(REPEATS), block, console=console)
        shares[block] = np.array([nested(block, table, labels, groups, seed, solver) for seed in seeds])
    shares[ALL] = np.mean([shares[block] for block in BLOCKS], axis=0)
    return {
        name: Predictions(LABELS, films, fold, np.log(values.clip(1e-9)), np.full(fold.shape, np.nan))
        for name, values in shares.items()
    }


def shuffled(films: Sequence[Film], seed: int = 0) -> list[Film]:
    """The films with labels shuffled among groups: each group has the label of another group's first film."""
    first: dict[str, str] = {}
    for film in films:
        first.setdefault(film.group, film.label)
    values = np.random.default_rng(seed).permutation([*first.values()]).tolist()
    label = dict(zip(first, values, strict=True))
    return [replace(film, label=label[film.group]) for film in films]


def figures(name: str, predictions: Predictions) -> Iterator[tuple[str, str, Metric]]:
    """The plan's figures of one model: model, subject, figure."""
    evidence = evaluate(predictions)
    wanted: dict[str, Callable[[str], bool]] = {
        IMAGE: lambda figure: figure.startswith("AUROC ") and "within folds" not in figure,
        BEYOND_ACQUISITION: lambda _: True,
    }
    for evaluation in evidence.evaluations:
        for metric in evaluation.metrics:
            if wanted.get(evaluation.subject, lambda _: False)(metric.name):
                yield name, evaluation.subject, metric
    image = next(each for each in evidence.predictors if each.name == IMAGE)
    known = np.isfinite(predictions.measured)
    grades = -(image.probabilities @ np.arange(len(LABELS)))[:, known]  # a severe answer is a low T-score

    def correlations(weights: Floats) -> dict[str, Floats]:
        values = [measures.pearson(predictions.measured[known], each, weights[:, known]) for each in grades]
        return {"T-score r of the expected grade": np.mean(values, axis=0)}

    [metric] = sample(correlations, draw(predictions.groups, RESAMPLES, 0)).metrics()
    yield name, IMAGE, metric


@one_line_errors
def main(
    data: Annotated[Path, typer.Option(help="Table of films, as osteolens crossval reads it.")],
    out: Annotated[Path, typer.Option(help="Folder for features, predictions and figures.")],
    people: Annotated[Path, typer.Option(help="Reader of persons.")] = Path("weights/knee_people"),
) -> None:
    """Fit and score the planned image model."""
    torch.set_num_threads(1)
    console = Console()
    films, features = read_films(data, "conflict"), Features(out / "features", people)
    rows = [features.of(film) for film in track(films, "features", console=console)]
    console.print(f"{len(films)} films, {sum(BLOCKS[0] not in row for row in rows)} without a framed knee")
    films = [
        replace(film, acquisition=tuple(row["acquisition"].tolist())) for film, row in zip(films, rows, strict=True)
    ]
    models_by_name = cross_validated(rows, films, console)
    models_by_name["labels shuffled"] = cross_validated(rows, shuffled(films), console)[ALL]
    bare = [replace(film, age=np.nan, sex="", weight_kg=np.nan, height_m=np.nan) for film in films]
    replace(models_by_name[ALL], films=bare).write(out / PREDICTIONS_FILE)
    table = [row for name, predictions in models_by_name.items() for row in figures(name, predictions)]
    with whole(out / "figures.csv") as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("role", "model", "subject", "figure", "value", "low", "high"))
        for name, subject, metric in table:
            primary = (name, subject, metric.name) == (ALL, BEYOND_ACQUISITION, f"{WITHIN_FAMILIES} {QUESTION}")
            numbers = [f"{value:.3f}" for value in (metric.value, metric.low, metric.high)]
            writer.writerow(("primary" if primary else "secondary", name, subject, metric.name, *numbers))
            console.print(
                name, subject, metric.name, *numbers, sep=" | ", markup=False, style="bold" if primary else ""
            )


if __name__ == "__main__":
    typer.run(main)
