import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like

from osteolens.errors import EmptyInput, InputError, InvalidOption, UnsupportedType
from osteolens.films import overlay
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import Backend, load_runtime
from osteolens.schema import Answer


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(model_folder)


def request(seed: int = 0, id: str = "a", **options: str) -> Request:
    return Request(encoded(knee_like(seed=seed)), options, id)


def test_an_answer_is_complete(reader: Reader) -> None:
    answer = reader.answer(request(id="film-7"))
    assert answer.id == "film-7"
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.label == max(answer.probabilities, key=answer.probabilities.__getitem__)
    assert answer.t_score is not None
    assert (answer.film.width, answer.film.height) == (240, 300)
    (explanation,) = answer.explanations
    assert (explanation.method, explanation.target) == ("gradcam", answer.label)
    levels = overlay.decode_map(explanation.map_png)
    assert levels.shape == (256, 205)
    assert levels.max() > 200 if explanation.peak > 0 else not levels.any()
    assert answer.model.card_sha256 == reader.card.sha256


def test_each_request_gets_its_own_answer_or_its_own_error(reader: Reader) -> None:
    def outcome(film: Request) -> Answer | InputError:
        try:
            return reader.answer(film)
        except InputError as error:
            return error

    requests = [
        request(1, "one"),
        Request(b"", {}, "empty"),
        request(2, "two", explain="none"),
        Request(b"text", {}, "text"),
        request(3, "three", target="all", explain="layercam"),
        request(4, "bad", age="old"),
        request(1, "one again", target="normal"),
    ]
    outcomes = [outcome(film) for film in requests]
    assert [type(outcome) for outcome in outcomes] == [
        Answer, EmptyInput, Answer, UnsupportedType, Answer, InvalidOption, Answer,
    ]  # fmt: skip
    first, two, three, again = (outcome for outcome in outcomes if isinstance(outcome, Answer))
    assert [answer.id for answer in (first, two, three, again)] == ["one", "two", "three", "one again"]
    assert two.explanations == ()
    assert [item.target for item in three.explanations] == list(reader.card.labels)
    assert {item.method for item in three.explanations} == {"layercam"}
    assert [item.target for item in again.explanations] == ["normal"]
    assert again.probabilities == pytest.approx(first.probabilities, abs=1e-5)
    alone = reader.answer(request(3))
    assert alone.probabilities == pytest.approx(three.probabilities, abs=1e-5)
    assert alone.probabilities != pytest.approx(first.probabilities, abs=1e-3)


@pytest.fixture(scope="module")
def folders(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model and exports in one folder, as in an archive."""
    folder = tmp_path_factory.mktemp("archive")
    for path in (*model_folder.iterdir(), *exports.iterdir()):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize("backend", ["onnx-fp32", "torchscript"])
@pytest.mark.parametrize("target", ["", "all"])
def test_every_backend_gives_the_eager_answer_and_map(
    backend: Backend, target: str, reader: Reader, folders: Path
) -> None:
    exported = Reader(folders, load_runtime(folders, reader.card, backend))
    for seed in range(4):
        here, there = (either.answer(request(seed, target=target)) for either in (reader, exported))
        assert here.probabilities == pytest.approx(there.probabilities, abs=1e-4)
        assert here.t_score == there.t_score or here.t_score.estimate == pytest.approx(there.t_score.estimate, abs=1e-4)
        assert [explanation.target for explanation in here.explanations] == [
            explanation.target for explanation in there.explanations
        ]
        for first, other in zip(here.explanations, there.explanations, strict=True):
            assert first.peak == pytest.approx(other.peak, rel=1e-3, abs=1e-6)
            levels = [overlay.decode_map(explanation.map_png).astype(int) for explanation in (first, other)]
            assert abs(levels[0] - levels[1]).max() <= 1


def test_other_methods_come_from_the_heads_that_are_loaded_only_then(reader: Reader, folders: Path) -> None:
    exported = Reader(folders, load_runtime(folders, reader.card, "onnx-fp32"))
    exported.answer(request())
    assert not {"eager", "heads"} & vars(exported).keys()
    answers = [either.answer(request(explain="layercam")) for either in (reader, exported)]
    assert {"eager", "heads"} & vars(exported).keys() == {"heads"}
    maps = [overlay.decode_map(answer.explanations[0].map_png).astype(int) for answer in answers]
    assert abs(maps[0] - maps[1]).max() <= 1


def test_answers_from_a_graph_need_no_torch(folders: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from osteolens.card import load_card
from osteolens.inference.reader import Reader
from osteolens.inference.runtimes import load_runtime
folder = Path({str(folders)!r})
Reader(folder, load_runtime(folder, load_card(folder), "onnx-fp32")).warm_up()
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_five_calls_in_a_row_give_the_same_map(reader: Reader) -> None:
    maps = {reader.answer(request()).explanations[0].map_png for _ in range(5)}
    assert len(maps) == 1


def test_slow_methods_are_refused_with_the_way_out(reader: Reader) -> None:
    with pytest.raises(InvalidOption, match="osteolens predict FILE --local --explain scorecam"):
        reader.answer(request(explain="scorecam"))


def test_a_multi_page_tiff_is_answered_with_a_warning(reader: Reader) -> None:
    from PIL import Image

    page = Image.fromarray(knee_like())
    data = encoded(page, "TIFF", save_all=True, append_images=[page])
    answer = reader.answer(Request(data, {}, "a"))
    assert answer.quality.warnings == ("the TIFF has 2 pages; only the first was read",)


def test_the_map_covers_the_film_as_displayed(reader: Reader) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.ascontiguousarray(np.rot90(knee_like(), 1))
    turned = reader.answer(Request(encoded(lying, exif=exif), {}, "a"))
    upright = reader.answer(request())
    assert turned.film == upright.film
    assert turned.explanations == upright.explanations
