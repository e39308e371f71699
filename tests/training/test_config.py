from pathlib import Path

import pytest

from osteolens.errors import DataError
from osteolens.training.config import load_configuration

CONFIGS = sorted((Path(__file__).parents[2] / "train" / "configs").glob("*.toml"))


def load(tmp_path: Path, text: str):
    path = tmp_path / "a.toml"
    path.write_text(text)
    return load_configuration(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_valid(path):
    assert load_configuration(path).dataset.name


def test_there_are_committed_configurations():
    assert "efficientnet" in [path.stem for path in CONFIGS]


def test_defaults(tmp_path):
    config = load(tmp_path, '[dataset]\nname = "a"')
    assert config.model.architecture == "tf_efficientnet_lite0"
    assert (config.preprocess.height, config.preprocess.width) == (224, 224)
    assert config.data.skip == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "dataset is missing; for example, "),
        ("[dataset]", "dataset.name is missing; for example, in [dataset], name = "),
        ("[optimisation]\nepoch = 3", "optimisation.epoch is not a known key; [optimisation] knows epochs, batch_size"),
        (
            "[optimisation]\nepochs = 'ten'",
            "optimisation.epochs is 'ten': input should be a valid integer; for example",
        ),
        ("[optimisation]\nepochs = 0", "optimisation.epochs is 0: input should be greater than or equal to 1"),
        ("[run]\nprecision = 'half'", "run.precision is 'half': input should be 'auto', 'fp32', 'bf16' or 'fp16'"),
        ("[preprocess]\nheight = 3", "preprocess.height is 3: input should be greater than or equal to 32"),
        ("[augment]\nrotation = inf", "augment.rotation is inf: input should be a finite number"),
        ("[augmentation]", "augmentation is not a known key; the file knows dataset, data, model"),
        ("model = 3", "model is 3"),
    ],
)
def test_a_wrong_file_is_one_sentence_with_a_valid_example(tmp_path, text, message):
    named = text if text in ("", "[dataset]") else f'{text}\n[dataset]\nname = "a"'
    with pytest.raises(DataError) as caught:
        load(tmp_path, named)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_is_a_line_that_works(tmp_path):
    with pytest.raises(DataError, match=r"for example, in \[optimisation\], learning_rate = 0\.0003$"):
        load(tmp_path, '[optimisation]\nlearning_rate = "fast"\n[dataset]\nname = "a"')
    with pytest.raises(
        DataError, match=r"for example, \[model\] with the line architecture = \"tf_efficientnet_lite0\"$"
    ):
        load(tmp_path, 'model = 3\n[dataset]\nname = "a"')


@pytest.mark.parametrize("text", ["[dataset", "\xff"])
def test_a_file_that_is_not_toml(tmp_path, text):
    (tmp_path / "a.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read"):
        load_configuration(tmp_path / "a.toml")
    with pytest.raises(DataError, match="cannot be read"):
        load_configuration(tmp_path / "none.toml")
