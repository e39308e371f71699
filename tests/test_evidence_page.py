"""The figures of docs/evidence.md are those of the files that it names."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
QUESTION = "osteoporosis vs rest"
BEYOND = "image beyond acquisition"


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "evidence" / name).open(newline="", encoding="utf-8") as stream:
        return [*csv.DictReader(stream)]


def card(name: str) -> dict[tuple[str, str], dict[str, float]]:
    document = json.loads((ROOT / "weights" / name / "card.json").read_text())
    return {(each["subject"], m["name"]): m for each in document["evaluations"] for m in each["metrics"]}


def table_row(first: str) -> list[str]:
    """Cells of the only table row whose first cell is this, without the bold."""
    [line] = [line for line in PAGE.splitlines() if line.replace("*", "").startswith(f"| {first} |")]
    return [cell.strip() for cell in line.replace("*", "").strip("|").split("|")][1:]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def same(cell: str, metric: dict[str, Any]) -> None:
    """Value and interval agree with the cell to its last digit."""
    shown = re.findall(r"-?\d+\.(\d+)", cell)
    expected = [float(metric[name]) for name in ("value", "low", "high")]
    for number, value, digits in zip(numbers(cell), expected, shown, strict=True):
        assert number == pytest.approx(value, abs=0.51 * 10 ** -len(digits)), cell


def test_the_first_lines_of_the_readme_are_efficientnet_s() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    shown = card("efficientnet")
    subjects = {"AUROC for osteoporosis": "image", "without any bone, reaches": "baseline: acquisition",
                "without any picture": "baseline: age and sex"}  # fmt: skip
    for words, subject in subjects.items():
        same(text.split(words)[1].split(")")[0].replace("95 % interval", ""), shown[subject, f"AUROC {QUESTION}"])


COLUMNS = ("image", "baseline: acquisition", BEYOND, "baseline: age and sex", "image + age and sex")
LINES = {
    "AUROC, osteoporosis against the rest": f"AUROC {QUESTION}",
    "AUROC, normal against the rest": "AUROC normal vs rest",
    "balanced accuracy, three classes": "balanced accuracy",
    "T-score, mean absolute error": "T-score MAE",
}


@pytest.mark.parametrize("line", LINES)
def test_the_first_table_is_efficientnet_s(line: str) -> None:
    shown = card("efficientnet")
    for subject, cell in zip(COLUMNS, table_row(line), strict=True):
        if cell != "-":
            same(cell, shown[subject, LINES[line]])


IMAGE_MODELS = {
    "planned model": "network + people + texture",
    "frozen ImageNet features alone": "network",
    "reader of persons alone": "people",
    "texture alone": "texture",
    "labels shuffled among groups, first shuffle": "labels shuffled",
}


@pytest.mark.parametrize("line", IMAGE_MODELS)
def test_the_table_of_the_planned_model_is_its_file_s(line: str) -> None:
    shown = {(row["model"], row["subject"], row["figure"]): row for row in rows("image_model/figures.csv")}
    places = (
        (BEYOND, f"AUROC within families {QUESTION}"), (BEYOND, f"AUROC {QUESTION}"), ("image", f"AUROC {QUESTION}"),
        (BEYOND, f"AUROC gain {QUESTION}"), (BEYOND, "AUROC normal vs rest"),
    )  # fmt: skip
    for place, cell in zip(places, table_row(line), strict=True):
        same(cell, shown[IMAGE_MODELS[line], *place])


def test_the_control_s_figures_are_its_card_s() -> None:
    shown = card("knee_oa")
    sentence = TEXT.split("quadratic-weighted kappa ")[1].split(", after")[0]
    parts = re.findall(r"\d\.\d+ \(\d\.\d+ to \d\.\d+\)", sentence)
    area = "AUROC 2 and above vs below"
    for name, part in zip(("quadratic-weighted kappa", "accuracy", area), parts, strict=True):
        same(part, shown["image", name])
    maps = json.loads((ROOT / "evidence" / "knee_oa" / "maps.json").read_text())
    [band] = [region for region in maps["regions"] if region["name"] == "joint band"]
    same(TEXT.split("Of its heat maps ")[1].split(" lies")[0], band["mass"])
    assert f"takes {band['area']['value']:.2f} of the picture" in TEXT
    taken = re.findall(r"\d\.\d+ \(\d\.\d+ to \d\.\d+\)", TEXT.split("How these films were taken")[1])
    for subject, part in zip(("baseline: acquisition", BEYOND), taken, strict=True):
        same(part, shown[subject, area])


def planted() -> Iterator[tuple[str, list[dict[str, str]]]]:
    table = rows("planted_signal.csv")
    for step in dict.fromkeys(row["step"] for row in table):
        yield (
            f"{float(step):.0%}".replace("%", " %") if float(step) else "none",
            [r for r in table if r["step"] == step],
        )


def test_the_table_of_planted_bone_loss_is_its_file_s() -> None:
    for line, found in planted():
        assert [row["knees"] for row in found] == ["157", "500", "1000", "3000"]
        area, *shares = table_row(line)
        assert float(area) == pytest.approx(float(found[-1]["AUROC, mean"]), abs=0.0051)
        assert [float(share.removesuffix(" %")) for share in shares] == pytest.approx(
            [100 * float(row["power"]) for row in found], abs=0.51
        )


def test_the_smallest_signals_are_their_file_s() -> None:
    for row in rows("smallest_signal.csv"):
        lost, area = table_row(f"{int(row['knees']):,}")
        assert numbers(lost) == pytest.approx([100 * float(row["step"])], abs=0.51)
        assert numbers(area) == pytest.approx([float(row["AUROC"])], abs=0.0051)


def test_the_learning_curves_are_their_file_s() -> None:
    for row in rows("learning_curves.csv"):
        sex, age = table_row(f"{int(row['persons']):,} persons")
        assert float(sex) == pytest.approx(float(row["AUROC of sex"]), abs=0.0051)
        assert float(age) == pytest.approx(float(row["r of age"]), abs=0.0051)


def test_the_shuffles_are_their_file_s() -> None:
    table = rows("image_model/shuffled.csv")
    [primary] = [row for row in rows("image_model/figures.csv") if row["role"] == "primary"]
    for column in list(table[0])[1:]:
        values = np.array([float(row[column]) for row in table])
        shown = numbers(" ".join(table_row(column)))
        expected = [
            values.mean(),
            values.std(ddof=1) / len(values) ** 0.5,
            values.std(ddof=1),
            values.min(),
            values.max(),
        ]
        assert shown == pytest.approx(expected, abs=0.0051), column
    reached = sum(float(row["beyond acquisition, within families"]) >= float(primary["value"]) for row in table)
    assert f"{reached} of {len(table)} shuffles" in TEXT
    assert f"p {(1 + reached) / (1 + len(table)):.2f}" in TEXT
