"""The card of a model hub holds the facts of card.json, in the form that the hub's own library reads."""

import shutil

from conftest import ROOT
from huggingface_hub import ModelCard

from osteolens.card import load_card
from osteolens.reports.hub_card import write_hub_card


def test_the_hub_reads_what_is_written(tmp_path):
    shutil.copy(ROOT / "weights" / "efficientnet" / "card.json", tmp_path)
    shutil.copy(ROOT / "weights" / "efficientnet" / "weights.safetensors", tmp_path)
    card = load_card(tmp_path)
    read = ModelCard.load(write_hub_card(tmp_path))
    assert read.data.license == "agpl-3.0"
    assert read.data.library_name == "osteolens"
    image = {metric.name: metric for metric in card.evaluations[0].metrics}
    stored = {result.metric_type: result.metric_value for result in read.data.eval_results}
    assert stored["AUROC osteoporosis vs rest"] == round(image["AUROC osteoporosis vs rest"].value, 4)
    assert read.data.eval_results[0].task_name == "osteoporosis vs rest from a knee X-ray, the image alone"
    for text in (
        card.intended_use,
        "Answers lead with the label from age and sex (the film adds nothing to them).",
        card.data.name,
        "baseline: age and sex",
        "0.54 (0.46 to 0.63)",
    ):
        assert text in read.text
