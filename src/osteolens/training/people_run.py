"""Training run of the reader of persons (`osteolens.models.people`), figures on held-out persons, and model folder."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from osteolens import models
from osteolens.card import Metric, TrainingData
from osteolens.evaluation import measures
from osteolens.evaluation.metrics import RESAMPLES, Bootstrap, draw, sample
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.files import write_text
from osteolens.models.people import (
    AGE,
    BISPHOSPHONATE,
    BMI,
    FEMALE,
    GRADE,
    GRADES,
    OUTPUTS,
    QUANTILES,
    PeopleCard,
    Scale,
    Spread,
    load_reader,
    save_reader,
)  # fmt: skip
from osteolens.training import checkpoint, identity
from osteolens.training.augment import Augmentation, build_transform, derived_seed
from osteolens.training.checkpoint import Progress
from osteolens.training.config import Configuration
from osteolens.training.engine import Batch, Learner, train_one_epoch
from osteolens.training.fit import CHECKPOINT_FILE, freeze, make_deterministic
from osteolens.training.identity import Identity
from osteolens.training.logs import RunLog, epoch_line, progress_bar
from osteolens.training.optimise import Precision, Schedule, build_optimiser
from osteolens.training.people import People, PeopleLoss

NAME = "knee_people"
LEAST_RESIDUAL = 0.1
"""Years: two held-out persons lie on a line."""
SPLIT = "the collection's own split; no person is in two parts"


def fit_people(config: Configuration, people: People, out: Path, console: Console) -> PeopleCard:
    """Train, or go on where `out` stopped, and write `model/` with weights, card and page.

    Raises:
        DataError: `out` holds another run.
        TrainingError: The loss is not finite.
    """
    learner, card = train_people(config, people, out, console)
    folder = out / MODEL_FOLDER
    card = save_reader(folder, learner.model, card)
    held_out = people.among(held_out=True)
    with console.status("reading held-out knees"):
        outputs, _ = load_reader(folder).read(held_out.pictures)  # the written weights, as a user would
    card = card.model_copy(update={"held_out": spread(outputs, held_out), "metrics": figures(outputs, held_out)})
    card.save(folder)
    write_text(folder / "README.md", page(card))
    for metric in card.metrics:
        console.print(f"{metric.name}: {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]", markup=False)
    return card


def train_people(config: Configuration, people: People, out: Path, console: Console) -> tuple[Learner, PeopleCard]:
    """Train the reader, or go on; the last epoch's weights count, so that no held-out knee selects anything.

    Raises:
        DataError: `out` holds another run.
        TrainingError: The loss is not finite.
    """
    make_deterministic(config.run.seed)
    training = people.among(held_out=False)
    card = _card(config, people)
    learner = build_learner(config, training, PeopleLoss(card.age, card.bmi))
    run_identity = _identity(config, people)
    identity.claim(out, run_identity)
    path, epochs, progress = out / CHECKPOINT_FILE, config.optimisation.epochs, Progress()
    if path.exists():
        progress = checkpoint.load(path, run_identity, learner)
        console.print(f"going on after epoch {len(progress.history)} of {epochs} in {out}")
    log, steps = RunLog(out, progress.history), learner.schedule.steps_per_epoch
    with progress_bar(console) as bar:
        task = bar.add_task("training", total=steps * epochs, completed=steps * len(progress.history), loss="")
        for epoch in range(len(progress.history), epochs):
            started = time.monotonic()
            torch.manual_seed(derived_seed(config.run.seed, epoch))
            loss = train_one_epoch(
                learner,
                people_batches(config, training, epoch),
                epoch,
                lambda loss: bar.update(task, advance=1, loss=f"loss {loss:.3f}"),
            )
            row = {"epoch": epoch + 1, "training loss": loss, "seconds": time.monotonic() - started}
            progress.add(row, learner.model)
            checkpoint.save(path, run_identity, progress, learner)
            log.add(progress.history)
            console.print(epoch_line(progress, epochs), soft_wrap=True)
    log.close()
    return learner, card


def build_learner(config: Configuration, training: People, loss: PeopleLoss) -> Learner:
    """The network with its loss, optimiser and schedule, as training starts."""
    settings = config.optimisation
    model = models.build(
        config.model.architecture,
        len(OUTPUTS),
        has_t_score=False,
        pretrained=config.model.pretrained and not config.model.start,
        dropout=config.model.dropout,
    )
    if config.model.start:
        models.load_backbone(model, Path(config.model.start))
    frozen = freeze(model, config.model.frozen_blocks)
    model.to(memory_format=torch.channels_last)
    precision = Precision(torch.device("cpu"), torch.float32)
    return Learner(
        model=model,
        objective=loss,
        optimiser=build_optimiser(model, settings.learning_rate, settings.weight_decay, settings.head_factor),
        schedule=Schedule(
            settings.learning_rate, len(training.files) // settings.batch_size, settings.epochs, settings.warmup_epochs
        ),
        precision=precision,
        scaler=precision.scaler(),
        frozen=frozen,
    )


def people_batches(config: Configuration, training: People, epoch: int) -> Iterator[Batch]:
    """Shuffled and augmented knees with their facts, in whole batches."""
    augmentation = Augmentation(build_transform(config.augment), config.run.seed, epoch)
    pictures, facts = torch.from_numpy(training.pictures), torch.from_numpy(training.facts)
    order = np.random.default_rng((config.run.seed, epoch)).permutation(len(pictures))
    size = config.optimisation.batch_size
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size].tolist()
        varied = torch.stack([augmentation(pictures[index], index) for index in chosen])
        yield varied, facts[chosen], torch.full((size,), torch.nan)


def _identity(config: Configuration, people: People) -> Identity:
    settings = identity.of_training("a reader of persons", config, (), ())
    facts = {"persons": identity.digest(list(people.persons)), "facts": identity.digest(people.facts.tolist())}
    return identity.with_pictures(settings | {"films": facts}, people.pictures)


def _card(config: Configuration, people: People) -> PeopleCard:
    parts = {"train": people.among(held_out=False), "test": people.among(held_out=True)}
    return PeopleCard(
        name=NAME,
        architecture=config.model.architecture,
        preprocess=config.preprocess,
        weights_sha256="",
        data=TrainingData(
            name=config.dataset.name,
            source=config.dataset.source,
            licence=config.dataset.licence,
            split=SPLIT,
            films={part: len(side.files) for part, side in parts.items()},
            groups={part: len(set(side.persons)) for part, side in parts.items()},
        ),
        age=_scale(parts["train"].facts[:, AGE]),
        bmi=_scale(parts["train"].facts[:, BMI]),
    )


def _scale(facts: NDArray[np.float32]) -> Scale:
    return Scale(mean=float(np.nanmean(facts)), deviation=float(np.nanstd(facts)))


def spread(outputs: NDArray[np.float64], people: People) -> Spread:
    """Summary of the scores [N, 9] of held-out knees whose sex and age are known."""
    female, age = people.facts[:, FEMALE], people.facts[:, AGE].astype(np.float64)
    steps = np.linspace(0, 100, QUANTILES)
    slope, intercept = np.polyfit(age, outputs[:, AGE], 1).tolist()
    return Spread(
        women=tuple(np.percentile(outputs[female == 1, FEMALE], steps).round(3).tolist()),
        men=tuple(np.percentile(outputs[female == 0, FEMALE], steps).round(3).tolist()),
        age_slope=slope,
        age_intercept=intercept,
        age_residual=max(float(np.std(outputs[:, AGE] - slope * age - intercept)), LEAST_RESIDUAL),
    )


def figures(outputs: NDArray[np.float64], people: People) -> tuple[Metric, ...]:
    """Figures of the scores [N, 9] with intervals over persons: by knee, then for the mean of a person's knees."""
    names, person = np.unique(people.persons, return_inverse=True)
    share = np.eye(len(names))[:, person] / np.bincount(person)[:, None]
    facts = people.facts.astype(np.float64)
    by_knee = _bootstrap(outputs, facts, people.persons)
    # A person's knees agree in all facts but the grade, which is left out here.
    by_person = _bootstrap(
        share @ outputs, np.column_stack([share @ facts[:, :4], np.full(len(names), np.nan)]), names.tolist()
    )
    renamed = [m.model_copy(update={"name": f"{m.name}, mean of a person's knees"}) for m in by_person.metrics()]
    return (*by_knee.metrics(), *renamed)


def _bootstrap(outputs: NDArray[np.float64], facts: NDArray[np.float64], persons: Sequence[str]) -> Bootstrap:
    known = np.isfinite(facts)
    grades = outputs[:, GRADE].argmax(axis=1)

    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        values = {}
        for name, column in (("AUROC sex", FEMALE), ("AUROC bisphosphonate use, women", BISPHOSPHONATE)):
            rows = known[:, column]
            values[name] = measures.auroc(outputs[rows, column], facts[rows, column] == 1, weights[:, rows])
        for name, column in (("age", AGE), ("BMI", BMI)):
            rows = known[:, column]
            pair, drawn = (outputs[rows, column], facts[rows, column]), weights[:, rows]
            values[f"{name} Pearson r"] = measures.pearson(*pair, drawn)
            values[f"{name} mean absolute error"] = measures.mean(np.abs(pair[0] - pair[1]), drawn)
        if (rows := known[:, 4]).any():
            cells = np.eye(GRADES**2)[facts[rows, 4].astype(int) * GRADES + grades[rows]]
            confusion = (weights[:, rows] @ cells).reshape(-1, GRADES, GRADES)
            values["grade, quadratic-weighted kappa"] = measures.quadratic_kappa(confusion)
        return values

    return sample(measure, draw(persons, RESAMPLES, seed=0))


def page(card: PeopleCard) -> str:
    """Page about a reader, for people."""
    lines = [f"| {m.name} | {m.value:.3f} ({m.low:.3f} to {m.high:.3f}) |" for m in card.metrics]
    films, persons = card.data.films, card.data.groups
    return "\n".join(
        [
            f"# Reader of persons: `{card.name}`",
            "",
            "Research software, not a diagnostic device. It reads sex, age, BMI, bisphosphonate use (of women) and the "
            "Kellgren-Lawrence grade off a picture of a knee. `osteolens audit --people` uses sex and age to test "
            "whether pictures and rows of a table belong together, and shows of a row only that it disagrees. It must "
            "not be used to learn facts about anyone.",
            "",
            "## Cohort and terms",
            f"{card.data.name} ({card.data.source}; {card.data.licence}). Parts: {card.data.split}: trained on "
            f"{films['train']} knees of {persons['train']} persons, scored once on {films['test']} knees of "
            f"{persons['test']}. The Osteoarthritis Initiative gives its data for research to whoever registers and "
            "accepts its terms of use. The weights hold none of them, no film and no row; whoever trains again needs "
            "the cohort, and its terms hold for it.",
            "",
            "## On persons that it never saw",
            "",
            "| figure | value (95 % interval over persons) |",
            "| --- | --- |",
            *lines,
            "",
            "## Model",
            f"`{card.architecture}`, {card.preprocess.height} x {card.preprocess.width} pixels after CLAHE, the mean "
            f"over a knee and its mirror image. Licence of the weights: {card.licence}. "
            f"sha256 `{card.weights_sha256}`.",
            "",
            "Trained by `python train/knee_people.py --data knees.csv --out runs/knee_people`.",
            "",
        ]
    )
