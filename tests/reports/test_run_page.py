import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like, make_model_folder
from PIL import Image
from support.map_examples import map_checks
from support.simulated import simulate, with_films
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.predictions import read_predictions
from osteolens.reports.figures import find
from osteolens.reports.run_page import write_report_page

TRIED = "setting,AUROC\n<plain>,0.61\n"


class Page(HTMLParser):
    """What a screen reader meets: pictures, headings, header cells, and what each section holds."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.headers: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.content: list[str] = []
        self.tables = self.captions = 0
        self._heading = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._heading = tag in ("h1", "h2", "h3", "h4")
        if self._heading:
            self.headings.append("")
            self.content.append("")
        self.tables += tag == "table"
        self.captions += tag == "caption"
        if tag == "img":
            self.pictures.append(dict(attrs))
            self.content[-1] += "picture"
        if tag == "th":
            self.headers.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self._heading:
            self.headings[-1] += data
            self._heading = False
        elif self.content:
            self.content[-1] += data.strip()


def make_run(folder: Path, predictions, *, maps: bool = True) -> Path:
    folder.mkdir()
    predictions.write(folder / "predictions.csv")
    (folder / "tried.csv").write_text(TRIED)
    facts = {"name": "knee", "dataset": {"name": "Made up", "source": "", "licence": "CC0"}, "architecture": "lite0"}
    (folder / "run.json").write_text(json.dumps(facts | {"seconds": 600, "configuration": {"model": {}}}))
    if maps:
        map_checks().write(folder / "maps.json")
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    predictions = simulate(60, repeats=1, image=1.5)
    predictions = with_films(predictions, source=["here", "there"] * 30)
    run = make_run(tmp_path_factory.mktemp("runs") / "full", predictions)
    return write_report_page(run)


def test_every_part_of_the_evidence_has_its_section(full: Path) -> None:
    headings = " | ".join(Page(full).headings)
    for wanted in (
        "knee: figures and evidence", "In plain words", "How well it does", "Ranking and calibration", "T-scores",
        "Triage", "Subgroups", "Places", "Are the heat maps worth looking at?", "What was tried", "Protocol and data",
    ):  # fmt: skip
        assert wanted in headings
    text = full.read_text()
    for wanted in ("baseline: age and sex", "low suspicion", "outside the body", "Films from here", "Made up, CC0"):
        assert wanted in text


def test_no_section_is_empty(full: Path) -> None:
    page = Page(full)
    nested = {"How well it does"}  # starts with a table, whose cells are content
    assert [h for h, c in zip(page.headings, page.content, strict=True) if not c and h not in nested] == []


def test_every_picture_says_what_it_shows_with_figures(full: Path) -> None:
    pictures = Page(full).pictures
    assert len(pictures) >= 12
    for picture in pictures:
        assert picture["src"].startswith("data:image/")
        assert re.search(r"\d", picture["alt"])


def test_every_header_cell_has_a_scope_and_every_table_a_caption(full: Path) -> None:
    page = Page(full)
    assert {header.get("scope") for header in page.headers} == {"col", "row"}
    assert page.tables == page.captions > 8


def test_charts_lie_beside_the_page_as_pngs(full: Path) -> None:
    charts = sorted(path.name for path in (full.parent / "figures").iterdir())
    assert {"roc_osteoporosis_vs_rest.png", "confusion_image.png", "maps_deletion.png", "t_score_image.png"} <= {
        *charts
    }
    for name in charts:
        with Image.open(full.parent / "figures" / name) as picture:
            assert picture.format == "PNG"


def test_foreign_text_is_escaped_and_the_page_loads_nothing(full: Path) -> None:
    text = full.read_text()
    assert "&lt;plain&gt;" in text
    assert "<plain>" not in text
    assert not re.findall(r"""(?:src|href)=["']https?:""", text)


def test_a_single_split_without_patients_facts_has_no_empty_sections(tmp_path: Path) -> None:
    predictions = simulate(60, repeats=1, folds=1, facts=False, t_score=False)
    out = write_report_page(make_run(tmp_path / "run", predictions, maps=False), tmp_path / "out" / "page.html")
    assert out == tmp_path / "out" / "page.html"
    page = Page(out)
    headings = " | ".join(page.headings)
    for absent in ("T-scores", "Places", "heat maps"):
        assert absent not in headings
    counts = (sum(film.label == label for film in predictions.films) for label in predictions.labels)
    assert "(normal: {}, osteopenia: {}, osteoporosis: {})".format(*counts) in out.read_text()
    assert "a single split" in out.read_text()
    assert "Is the image alone better" not in out.read_text()
    assert not (out.parent / "figures" / "t_score_image.png").exists()


def test_other_labels_will_do(tmp_path: Path) -> None:
    predictions = simulate(60, facts=False, t_score=False)
    grades = {"normal": "0", "osteopenia": "1", "osteoporosis": "2"}
    predictions = replace(predictions, labels=("0", "1", "2"))
    predictions = with_films(predictions, label=[grades[film.label] for film in predictions.films])
    text = write_report_page(make_run(tmp_path / "run", predictions)).read_text()
    assert "0 vs rest" in text
    assert 'id="triage"' not in text


def test_a_run_without_facts_is_named_after_its_folder(tmp_path: Path) -> None:
    run = tmp_path / "bare"
    run.mkdir()
    simulate(45, facts=False).write(run / "predictions.csv")
    assert "bare: figures and evidence" in write_report_page(run).read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: shutil.rmtree(run), "there is no folder"),
        (lambda run: (run / "predictions.csv").unlink(), "predictions.csv is not a table"),
        (lambda run: (run / "run.json").write_text("{"), "run.json does not hold"),
        (lambda run: (run / "maps.json").write_text("{}"), "maps.json is not what"),
        (lambda run: (run / "tried.csv").write_text("a,b\n1\n"), "tried.csv has rows"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(spoil, message: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", simulate(45))
    spoil(run)
    with pytest.raises(DataError, match=message):
        write_report_page(run, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_example_maps_of_other_films_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", simulate(45, facts=False, t_score=False))
    map_checks(["elsewhere.png"]).write(run / "maps.json")
    with pytest.raises(DataError, match=r"about other films than the predictions, such as elsewhere\.png"):
        write_report_page(run, data=tmp_path)


def test_a_missing_table_of_films_is_named_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", simulate(45))
    with pytest.raises(DataError, match=r"no table or folder of films .*films\.csv"):
        write_report_page(run, data=tmp_path / "films.csv")


def test_the_command_writes_the_page_and_ends_with_one_line_where_it_cannot(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", simulate(45, facts=False, t_score=False), maps=False)
    done = CliRunner().invoke(app, ["report", str(run)])
    assert (done.exit_code, done.output.split()) == (0, ["written", "to", str(run / "report.html")])
    failed = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert failed.exit_code == 2
    assert failed.stderr.startswith("error: there is no folder")
    assert len(failed.stderr.splitlines()) == 1


def test_without_films_or_models_the_page_says_why_there_are_no_example_maps(full: Path, tmp_path: Path) -> None:
    assert "shown when the page is made with --data" in full.read_text()
    run = make_run(tmp_path / "run", simulate(45, facts=False))
    assert "needs the models of the folds" in write_report_page(run, data=tmp_path).read_text()


@pytest.mark.slow
def test_example_maps_are_shown_where_films_and_models_are(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", simulate(45, facts=False))
    model = make_model_folder(run / "r0f0" / "model", side=64)
    for fold in (1, 2):
        shutil.copytree(model, run / f"r0f{fold}" / "model")
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(encoded(knee_like(seed=number)))
    page = Page(write_report_page(run, data=tmp_path))
    shown = [picture["alt"] for picture in page.pictures if "under its heat map for normal" in picture["alt"]]
    assert [alt.split(":")[0] for alt in shown] == ["0.png", "1.png"]
    assert "Examples" in page.headings


def test_the_confusion_matrix_counts_films(full: Path) -> None:
    (alt,) = [p["alt"] for p in Page(full).pictures if p["alt"].startswith("Confusion matrix of image,")]
    counts = [float(number) for number in re.findall(r"([\d.]+) as", alt)]
    assert np.sum(counts) == pytest.approx(60)
    evidence = evaluate(read_predictions(full.parent / "predictions.csv"), resamples=2)
    accuracy = find(evidence.evaluations, "image", "accuracy")
    assert accuracy is not None
    assert np.trace(np.reshape(counts, (3, 3))) / 60 == pytest.approx(accuracy.value)
