"""Bone loss imitated in knees, and how many knees it takes to find it: a check that the method would see what is there.

    python benchmarks/planted_signal.py --data knees.csv --out runs/planted

The knees of a table (columns file, person, sex and age; one knee of each person) get a new random acquisition each:
gamma, contrast, brightness, sharpness and noise, whatever their label. In those that are drawn as ill, a fifth, the
trabecular structure loses a share of its amplitude (the step), and the cortex is thinned by the same share. A cheap
pipeline then looks for it: pooled features of a frozen ImageNet EfficientNet-Lite0, one ridge regression in five
folds, and the permutation p of its AUROC. Power is the share of draws with p below 0.05, which must be about 0.05 at
step 0.

What the same features and ridge reach for sex and age of persons that were left out, by the number of persons to learn
from, says beside it whether more knees help where something is known to be visible.

Features are kept in --out, one file per step, so that a killed run goes on and one with more knees adds to them. --out
gets planted_signal.csv, the figure planted_signal.png, smallest_signal.csv (what is found with power 0.8), and
learning_curves.csv.
"""

import csv
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.linalg import solve
from scipy.stats import rankdata

from osteolens import models
from osteolens.card import PreprocessSpec
from osteolens.console import one_line_errors
from osteolens.datasets.tables import open_table
from osteolens.files import whole
from osteolens.films.prepare import prepare
from osteolens.films.read import read

Floats = NDArray[np.float64]
Picture = NDArray[np.float32]
STEPS = (0.0, 0.1, 0.2, 0.05, 0.3, 0.15)
"""Shares of the trabecular amplitude that are lost, in the order of computing."""
DRAWS = {157: 200, 500: 100, 1000: 60, 3000: 40}
"""Knees in a draw, and how many draws."""
NULL_DRAWS = 200
"""At least so many where nothing is planted: a share of about 0.05 takes more draws to tell from 0.1."""
ILL, PERMUTATIONS, FOLDS, SIGNIFICANT, POWER = 0.2, 200, 5, 0.05, 0.8
PENALTY = 1000.0
"""Of the ridge, for standardised features: strong, as there are eight times as many features as the fewest knees."""
TRABECULAE, NEAR_CORTEX = 3.0, 5
"""Standard deviation in pixels that parts structure from shape, and width of the band at the bones' edges."""
SPEC = PreprocessSpec(height=160, width=160, crop_borders=False, centre_height=0.7142857, centre_width=0.7142857)
"""The joint with both bone ends, at the pixels that the knees of the public collection have (160 of 224)."""
SEED = 0


def bone(picture: Picture) -> tuple[Picture, Picture]:
    """Bone, and the band along its edges, as weights 0 to 1 of a picture [H, W]."""
    shape = cv2.GaussianBlur(picture, (0, 0), TRABECULAE)
    _, mask = cv2.threshold(shape.astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (NEAR_CORTEX, NEAR_CORTEX))
    edges = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel)
    soft = [cv2.GaussianBlur(part.astype(np.float32), (0, 0), 1.5) for part in (mask, edges)]
    return soft[0], soft[1]


def plant(picture: Picture, step: float) -> Picture:
    """Take a share of trabecular amplitude and cortical thickness from a knee [H, W] with values 0 to 255."""
    inside, edges = bone(picture)
    shape = cv2.GaussianBlur(picture, (0, 0), TRABECULAE)
    thinner = shape + (picture - shape) * (1 - step * inside)
    eroded = cv2.erode(thinner, np.ones((3, 3), np.uint8))  # a bright ridge loses a pixel on either side
    return np.asarray(thinner + step * edges * (eroded - thinner), np.float32)


def acquire(picture: Picture, random: np.random.Generator) -> NDArray[np.uint8]:
    """Vary what differs between devices, at random, and round to uint8."""
    varied = 255 * (picture.clip(0, 255) / 255) ** np.exp(random.uniform(-0.15, 0.15))
    varied = (varied - 128) * random.uniform(0.85, 1.15) + 128 + random.uniform(-12, 12)
    varied = cv2.GaussianBlur(varied, (0, 0), random.uniform(0.1, 0.7))
    return np.asarray((varied + random.normal(0, random.uniform(0, 4), varied.shape)).clip(0, 255).round(), np.uint8)


def structure(picture: NDArray[np.uint8]) -> float:
    """Logarithm of the trabecular amplitude inside the bones: the planted quantity itself."""
    grey = picture.astype(np.float32)
    inside, edges = bone(grey)
    weight = inside * (1 - edges)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), TRABECULAE)
    return float(np.log(np.sqrt((weight * detail**2).sum() / weight.sum())))


def features(paths: list[Path], step: float, console: Console, first: int = 0) -> tuple[NDArray[np.float32], Floats]:
    """Pooled features [N, 1280] of a frozen network, and the planted quantity [N], of knees with a step planted.

    Args:
        paths: The knees' files.
        step: Share of amplitude and thickness to take away.
        console: Shows the progress.
        first: Place of the first of these knees among all, as each place has an acquisition of its own.
    """
    model = models.for_inference(models.build("tf_efficientnet_lite0", 2, has_t_score=False, pretrained=True))
    pooled, planted = [], []
    for number, path in enumerate(track(paths, f"step {step}", console=console), first):
        # The acquisition differs from step to step, or it would tell which knees are compared.
        random = np.random.default_rng((SEED, round(1000 * step), number))
        whole_knee = prepare(read(path).pixels, SPEC).array[0].astype(np.float32)
        knee = acquire(plant(whole_knee, step), random)
        with torch.no_grad():
            pooled.append(model.features(torch.from_numpy(knee)[None, None]).mean(dim=(0, 2, 3)).numpy())
        planted.append(structure(knee))
    return np.stack(pooled), np.array(planted)


def kept(path: Path, paths: list[Path], step: float, console: Console) -> tuple[NDArray[np.float32], Floats]:
    """As `features`, of which a file keeps those computed before: it may hold the first knees of these, or more."""
    pooled, planted = np.empty((0, 1280), np.float32), np.empty(0)
    if path.exists():
        with np.load(path) as stored:
            pooled, planted = stored["pooled"], stored["planted"]
    if len(planted) < len(paths):
        more = features(paths[len(planted) :], step, console, first=len(planted))
        pooled, planted = np.concatenate([pooled, more[0]]), np.concatenate([planted, more[1]])
        with whole(path) as draft, draft.open("wb") as stream:
            np.savez(stream, pooled=pooled, planted=planted)
    return pooled[: len(paths)], planted[: len(paths)]


def out_of_fold(x: Floats, labels: Floats, fold: NDArray[np.int64]) -> Floats:
    """Out-of-fold ridge scores [N, P] of labels [N, P] from features [N, C] in folds [N]."""
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    is_wide, scores = x.shape[1] > len(x), np.empty_like(labels)
    products = x @ x.T if is_wide else x.T @ x  # the smaller of two matrices that give the same scores
    for number in range(FOLDS):
        test, train = fold == number, fold != number
        wanted = labels[train] - labels[train].mean(axis=0)
        if is_wide:
            inner, across = products[np.ix_(train, train)], products[np.ix_(test, train)]
        else:
            inner, across, wanted = products - x[test].T @ x[test], x[test], x[train].T @ wanted
        scores[test] = across @ solve(inner + PENALTY * np.eye(len(inner)), wanted, assume_a="pos")
    return scores


def areas(scores: Floats, ill: NDArray[np.bool_]) -> Floats:
    """AUROC of each column of scores [N, P] for labels [N, P]."""
    ranks, cases = rankdata(scores, axis=0), ill.sum(axis=0)
    wins = (ranks * ill).sum(axis=0) - cases * (cases + 1) / 2
    return np.asarray(wins / (cases * (len(ill) - cases)))


def draw(healthy: Floats, diseased: Floats, knees: int, random: np.random.Generator) -> tuple[float, float]:
    """AUROC of the pipeline on so many knees with labels drawn anew, and its permutation p.

    Args:
        healthy: Features [N, C] of all knees at step 0.
        diseased: Features [N, C] of the same knees with the step planted.
        knees: Knees to draw.
        random: Draws knees, labels, folds and permutations.
    """
    chosen = random.choice(len(healthy), knees, replace=False)
    ill = np.arange(knees) < round(ILL * knees)
    fold = random.permutation(knees) % FOLDS
    labels = np.column_stack([ill, *(random.permutation(ill) for _ in range(PERMUTATIONS))])
    x = np.where(ill[:, None], diseased[chosen], healthy[chosen]).astype(np.float64)
    values = areas(out_of_fold(x, labels.astype(np.float64), fold), labels)
    return float(values[0]), float((values >= values[0]).mean())


def measure(
    table: dict[float, tuple[NDArray[np.float32], Floats]], draws: dict[int, int], null_draws: int, console: Console
) -> list[dict[str, float]]:
    """A row per step and number of knees."""
    rows = []
    healthy, quantity = table[0.0]
    for step, (diseased, changed) in table.items():
        planted = areas(
            np.concatenate([quantity, changed])[:, None] * -1, np.arange(2 * len(changed))[:, None] >= len(changed)
        )
        for knees, planned in draws.items():
            if knees <= len(healthy):
                count = planned if step else max(planned, null_draws)
                random = np.random.default_rng((SEED, round(1000 * step), knees))
                # At step 0 the ill knees are other acquisitions of healthy ones.
                values = [draw(healthy, diseased, knees, random) for _ in range(count)]
                area, p = np.array(values).T
                rows.append(
                    {
                        "step": step,
                        "AUROC of the planted quantity": round(float(planted[0]), 3),
                        "knees": knees,
                        "draws": count,
                        "AUROC, mean": round(float(area.mean()), 3),
                        "power": round(float((p < SIGNIFICANT).mean()), 3),
                    }
                )
                console.print(rows[-1])
    return rows


def smallest(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The smallest effect that each number of knees finds with power 0.8, between the steps on a straight line.

    A row per number of knees: the step, and the AUROC that the most knees reach at it. NaN where no step is found.
    """
    most = max(row["knees"] for row in rows)
    effect = {row["step"]: row["AUROC, mean"] for row in rows if row["knees"] == most}
    table = []
    for knees in sorted({row["knees"] for row in rows}):
        steps, power = np.array(sorted((row["step"], row["power"]) for row in rows if row["knees"] == knees)).T
        above = int(np.argmax(power >= POWER)) if power.max() >= POWER else 0
        step = np.interp(POWER, power[above - 1 : above + 1], steps[above - 1 : above + 1]) if above else np.nan
        area = np.interp(step, sorted(effect), [effect[key] for key in sorted(effect)])
        table.append({"knees": knees, "step": round(float(step), 3), "AUROC": round(float(area), 3)})
    return table


def learning_curves(x: Floats, sex: Floats, age: Floats) -> list[dict[str, float]]:
    """AUROC of sex (1: women) and correlation of age of held-out persons, by the number of persons to learn from."""
    random = np.random.default_rng(SEED)
    order = random.permutation(len(x))
    held_out, rest = np.split(order, [len(x) // 5])
    rows = []
    for knees in (*(size for size in DRAWS if size < len(rest)), len(rest)):
        values = []
        for _ in range(DRAWS.get(knees, 1) // 10 or 1):
            chosen = random.choice(rest, knees, replace=False)
            centre, spread = x[chosen].mean(axis=0), x[chosen].std(axis=0) + 1e-9
            train, test = (x[chosen] - centre) / spread, (x[held_out] - centre) / spread
            targets = np.column_stack([sex, age])
            dual = np.linalg.solve(
                train @ train.T + PENALTY * np.eye(knees), targets[chosen] - targets[chosen].mean(axis=0)
            )
            scores = test @ train.T @ dual
            area = float(areas(scores[:, :1], sex[held_out, None] == 1)[0])
            values.append((area, float(np.corrcoef(scores[:, 1], age[held_out])[0, 1])))
        area, correlation = np.mean(values, axis=0)
        rows.append({"persons": knees, "AUROC of sex": round(area, 3), "r of age": round(correlation, 3)})
    return rows


def write(path: Path, rows: list[dict[str, float]]) -> None:
    """Write rows as CSV."""
    with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Power by the AUROC that the most knees reach, a line per number of knees."""
    most = max(row["knees"] for row in rows)
    effect = {row["step"]: row["AUROC, mean"] for row in rows if row["knees"] == most}
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for knees in sorted({row["knees"] for row in rows}):
        points = sorted((effect[row["step"]], row["power"]) for row in rows if row["knees"] == knees)
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{knees:,.0f} knees")
    axes.axhline(POWER, color="grey", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel=f"planted signal: AUROC that {most:,.0f} knees reach",
        ylabel="share of draws that find it",
        ylim=(0, 1.02),
    )
    axes.legend()
    with whole(path) as draft:
        figure.savefig(draft, format="png", dpi=120)


@one_line_errors
def main(
    data: Annotated[Path, typer.Option(help="Table with the columns file, person, sex and age.")],
    out: Annotated[Path, typer.Option(help="Folder for features, tables and figure.")],
    knees: Annotated[int, typer.Option(min=40, help="At most so many persons.")] = max(DRAWS),
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the draws, for a quick look.")] = 1.0,
) -> None:
    """Measure how many knees it takes to find a planted bone loss."""
    torch.set_num_threads(1)
    console = Console()
    firsts = {row.cells["person"]: row for row in reversed([*open_table(data)])}
    persons = np.random.default_rng(SEED).permutation(sorted(firsts))[:knees].tolist()
    cells = [firsts[person].cells for person in persons]
    out.mkdir(parents=True, exist_ok=True)
    paths = [data.parent / cell["file"] for cell in cells]
    table = {step: kept(out / f"features_{step}.npz", paths, step, console) for step in STEPS}
    draws = {size: max(round(count * share), 2) for size, count in DRAWS.items()}
    rows = measure(dict(sorted(table.items())), draws, round(NULL_DRAWS * share), console)
    write(out / "planted_signal.csv", rows)
    plot(rows, out / "planted_signal.png")
    write(out / "smallest_signal.csv", smallest(rows))
    console.print(*smallest(rows), sep="\n")
    sex = np.array([float(cell["sex"] == "female") for cell in cells])
    curves = learning_curves(table[0.0][0].astype(np.float64), sex, np.array([float(cell["age"]) for cell in cells]))
    write(out / "learning_curves.csv", curves)
    console.print(*curves, sep="\n")


if __name__ == "__main__":
    typer.run(main)
