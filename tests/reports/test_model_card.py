import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, make_model_folder
from support.map_examples import map_checks
from support.simulated import simulate

from osteolens.card import load_card
from osteolens.errors import CardError, DataError
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.predictions import Predictions, read_predictions
from osteolens.reports import model_card
from osteolens.reports.figures import find
from osteolens.reports.shipped import gather
from osteolens.training.config import load_configuration

POSTER = {
    "results": [
        {
            "title": "as the poster did", "architecture": "lite0", "films": 744, "groups": 200, "majority": 0.5,
            "accuracy": {"name": "accuracy", "value": 0.9512, "low": 0.93, "high": 0.97},
            "balanced_accuracy": {"name": "balanced accuracy", "value": 0.9, "low": 0.88, "high": 0.92},
            "epoch": "best on the test films", "epochs": 7,
        }
    ],
    "sentences": ["The twins are on both sides."],
    "stated by the poster": {"EfficientNet": 0.954},
}  # fmt: skip


def ship(root: Path, name: str, predictions: Predictions, *, maps: bool = False) -> None:
    """A model with its evidence, as the repository holds them; its figures come from the stored table."""
    weights, evidence = root / "weights" / name, root / "evidence" / name
    make_model_folder(weights, side=64, has_t_score=bool(np.isfinite(predictions.t_score).all()))
    evidence.mkdir(parents=True)
    predictions.write(evidence / "predictions.csv")
    stored = evaluate(read_predictions(evidence / "predictions.csv"))
    card = load_card(weights).model_copy(update={"labels": predictions.labels})
    apply_to_card(card, stored).save(weights)
    facts = {"name": name, "folds": 3, "repeats": 1, "seconds": 120, "versions": {"torch": "2"}}
    (evidence / "run.json").write_text(json.dumps(facts))
    if maps:
        map_checks().write(evidence / "maps.json")


def grades(predictions: Predictions) -> Predictions:
    """The same with other labels: a positive control."""
    named = {label: str(grade) for grade, label in enumerate(predictions.labels)}
    films = [replace(film, label=named[film.label]) for film in predictions.films]
    return replace(predictions, labels=tuple(named.values()), films=films)


def write(root: Path) -> dict[str, str]:
    pages = model_card.documents(root, gather(root))
    for path, text in pages.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    return pages


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    ship(root, "knee", simulate(60, repeats=1, image=1.5), maps=True)
    ship(root, "aa_control", grades(simulate(60, repeats=1, folds=1, facts=False, t_score=False)))
    (root / "evidence" / "poster.json").write_text(json.dumps(POSTER))
    (root / "evidence" / "tried.csv").write_text("setting,AUROC\nplain,0.61\n")
    write(root)
    return root


@pytest.fixture
def checkout(shipped: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(shipped, tmp_path / "checkout"))


def headings(path: Path) -> list[str]:
    return re.findall(r"(?m)^#+ (.*)$", path.read_text())


def test_every_topic_of_the_checklists_is_where_the_table_says(shipped: Path) -> None:
    assert [*headings(shipped / "MODEL_CARD.md")] == [
        "Model card", "What they are for", "What they are not for", "How well do they work?", "What an answer means",
        "Data", "Limits", "Fairness, privacy and harm", "Licences", "How to reproduce",
    ]  # fmt: skip
    assert headings(shipped / "weights" / "knee" / "README.md") == [
        "`knee` 1.0", "In plain words", "Films", "Partitions", "Model and training", "Evaluation", "Calibration",
        "Operating points and triage", "Subgroups", "Heat maps", "Where it fails", "How to reproduce",
    ]  # fmt: skip
    evidence = (shipped / "evidence" / "README.md").read_text()
    tables = [headings(path) for path in sorted(shipped.rglob("*.md"))]
    places = {place for row in re.findall(r"\| ([^|\n]*) \|\n", evidence) for place in re.findall(r'"([^"]+)"', row)}
    assert len(places) > 15
    assert places <= {heading for named in tables for heading in named}


def test_the_card_is_short_and_says_first_that_it_is_no_device(shipped: Path) -> None:
    for root in (shipped, ROOT):
        lines = (root / "MODEL_CARD.md").read_text().splitlines()
        assert len(lines) <= 120
        assert "not a diagnostic device" in lines[2]


def test_the_headline_sets_each_model_beside_its_baselines(shipped: Path) -> None:
    card = (shipped / "MODEL_CARD.md").read_text()
    evidence = evaluate(read_predictions(shipped / "evidence" / "knee" / "predictions.csv"))
    subjects = ("image", "baseline: age and sex", "image + age and sex", "", "", "baseline: majority")
    for name in ("AUROC osteoporosis vs rest", "quadratic-weighted kappa", "T-score MAE"):
        metrics = [find(evidence.evaluations, subject, name) for subject in subjects]
        cells = [f"{m.value:.2f} ({m.low:.2f} to {m.high:.2f})" if m else "-" for m in metrics]
        cells[-1] = cells[-1].replace("-", "0.50")  # the acquisition of these films was not measured
        assert f"| [`knee`](weights/knee/README.md) | {name} | {' | '.join(cells)} |" in card
    assert card.index("[`knee`]") < card.index("[`aa_control`]")
    assert "`aa_control` is a positive control" in card
    assert "`knee` is a positive control" not in card
    assert "| Does the image tell more than chance? | Yes |" in card


def test_the_pages_figures_are_those_of_the_stored_predictions(shipped: Path) -> None:
    text = (shipped / "weights" / "knee" / "README.md").read_text()
    evidence = evaluate(read_predictions(shipped / "evidence" / "knee" / "predictions.csv"))
    image, majority = evidence.evaluations[0], evidence.evaluations[3]
    assert (image.subject, majority.subject) == ("image", "baseline: majority")
    for metric in image.metrics:
        assert f"| {metric.name} | {metric.value:.2f} ({metric.low:.2f} to {metric.high:.2f}) |" in text


def test_the_evidence_page_has_the_poster_and_what_was_tried(shipped: Path) -> None:
    text = (shipped / "evidence" / "README.md").read_text()
    assert "| as the poster did | `lite0` | 744 (200) | 95.1 % (93.0 % to 97.0 %) |" in text
    assert "an accuracy of 95.4% (EfficientNet)." in text
    assert "- The twins are on both sides." in text
    assert "| setting | AUROC |\n| --- | --- |\n| plain | 0.61 |" in text


def test_sections_without_content_are_left_out(shipped: Path) -> None:
    control = (shipped / "weights" / "aa_control" / "README.md").read_text()
    assert control.startswith("# Positive control: `aa_control` 1.0")
    for absent in ("T-score MAE", "## Operating points", "## Heat maps", "Paired differences"):
        assert absent not in control


def test_the_pages_are_the_same_every_time_and_pass_their_check(shipped: Path) -> None:
    for path, text in model_card.documents(shipped, gather(shipped)).items():
        assert (shipped / path).read_text() == text
    model_card.check(shipped)


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "weights/aa_control/README.md", "evidence/README.md"])
def test_a_page_that_is_missing_is_named(checkout: Path, name: str) -> None:
    (checkout / name).unlink()
    with pytest.raises(CardError, match=rf"^{re.escape(name)} disagrees .*: run python train/model_card\.py$"):
        model_card.check(checkout)


def test_one_changed_prediction_is_noticed(checkout: Path) -> None:
    path = checkout / "evidence" / "knee" / "predictions.csv"
    before = path.read_text()
    number = re.search(r"(?m)^0,\d,7\.png,.*$", before)
    assert number is not None
    row = number.group().split(",")
    row[-2] = f"{float(row[-2]) + 1e-3:.6g}"  # the last logit, by far too little to move any figure shown
    path.write_text(before.replace(number.group(), ",".join(row)))
    with pytest.raises(CardError, match=r"weights/knee/README\.md disagrees"):
        model_card.check(checkout)


def test_a_changed_label_is_noticed_in_the_card_as_well(checkout: Path) -> None:
    path = checkout / "evidence" / "knee" / "predictions.csv"
    path.write_text(path.read_text().replace(",osteoporosis,", ",normal,", 6))
    with pytest.raises((CardError, DataError)):
        model_card.check(checkout)


@pytest.mark.parametrize("place", ["evaluations", "operating_points", "calibration"])
def test_a_card_with_other_numbers_is_noticed(checkout: Path, place: str) -> None:
    path = checkout / "weights" / "knee" / "card.json"
    card = json.loads(path.read_bytes())
    if place == "evaluations":
        card["evaluations"][0]["metrics"][3]["value"] -= 0.05
    elif place == "operating_points":
        card["operating_points"]["high_sensitivity"]["threshold"] += 0.05
    else:
        card["calibration"] = None
    path.write_text(json.dumps(card))
    if place == "evaluations":  # the page goes by the stored predictions
        assert model_card.model_card(gather(checkout)) == (checkout / "MODEL_CARD.md").read_text()
    with pytest.raises(CardError, match=rf"weights/knee/card\.json disagrees with evidence/knee: {place}"):
        model_card.check(checkout)


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "weights/knee/README.md"])
def test_a_figure_changed_by_hand_is_noticed(checkout: Path, name: str) -> None:
    path = checkout / name
    text = path.read_text()
    first = re.search(r"\| quadratic-weighted kappa \| (0\.\d\d)", text)
    assert first is not None
    better = f"{float(first[1]) + 0.1:.2f}"
    path.write_text(text.replace(first.group(), f"| quadratic-weighted kappa | {better}", 1))
    with pytest.raises(CardError, match=r"run python train/model_card\.py"):
        model_card.check(checkout)


def test_each_model_is_reproduced_from_the_table_and_settings_of_its_data_set(checkout: Path) -> None:
    """The control's run notes no settings: its data set names them. The other's are read with later defaults."""
    shutil.copytree(ROOT / "train" / "configs", checkout / "train" / "configs")
    for name, config in (("knee", "wani_arora_yolov5"), ("aa_control", "knee_oa")):
        settings = load_configuration(checkout / "train" / "configs" / f"{config}.toml")
        card = load_card(checkout / "weights" / name)
        data = card.data.model_copy(update={"name": settings.dataset.name})
        card.model_copy(update={"data": data}).save(checkout / "weights" / name)
        path = checkout / "evidence" / name / "run.json"
        if name == "knee":
            noted = settings.model_dump(mode="json")
            del noted["optimisation"]["patience"]  # a default
            path.write_text(json.dumps(json.loads(path.read_bytes()) | {"configuration": noted}))
        else:
            path.unlink()
    pages = write(checkout)
    knee, control = pages["weights/knee/README.md"], pages["weights/aa_control/README.md"]
    configs = "train/configs/"
    crossed = f"cross_validate.py --config {configs}wani_arora_yolov5.toml --data films.csv --out runs/knee --folds 3"
    assert crossed in knee
    assert "measure_peaks.py --model runs/knee/model --run runs/knee --data films.csv" in knee
    # Two files are for its data set, and neither has its name.
    assert "fit.py --config CONFIG --data films.csv --out runs/aa_control" in control
    assert "check_maps.py --run runs/aa_control --data films.csv" in control


def test_without_evidence_the_card_s_own_figures_are_shown(checkout: Path) -> None:
    shutil.rmtree(checkout / "evidence")
    pages = write(checkout)
    knee = pages["weights/knee/README.md"]
    assert "no predictions of this model are stored" in knee
    assert "| AUROC osteoporosis vs rest |" in knee
    assert "## Calibration" not in knee
    assert "| [`knee`](weights/knee/README.md) | AUROC osteoporosis vs rest | 0." in pages["MODEL_CARD.md"]
    assert "Does the image tell more" not in pages["MODEL_CARD.md"]
    model_card.check(checkout)


def test_a_damaged_poster_file_is_named(checkout: Path) -> None:
    (checkout / "evidence" / "poster.json").write_text("{}")
    with pytest.raises(DataError, match=r"poster\.json is not what"):
        write(checkout)


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("AUROC 0.81 (0.72 to 0.90), 85 % of 170 films", True),
        ("AUROC 0.82 (0.72 to 0.90), 86 % of 170 films", True),
        ("AUROC 0.83 (0.72 to 0.90), 85 % of 170 films", False),
        ("AUROC 0.81 (0.72 to 0.90), 85 % of 171 films", False),
        ("AUROC 0.81 (0.72 to 0.90), 87 % of 170 films", False),
        ("auroc 0.81 (0.72 to 0.90), 85 % of 170 films", False),
    ],
)
def test_only_the_last_digit_of_a_rounded_number_may_differ(written: str, same: bool) -> None:
    assert model_card.same_text(written, "AUROC 0.81 (0.72 to 0.90), 85 % of 170 films") is same
