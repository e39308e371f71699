from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like

from osteolens import overlay
from osteolens.errors import EmptyInput, InputError, InvalidOption, UnsupportedType
from osteolens.reader import MAX_BATCH, Reader, Request
from osteolens.schema import Answer


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(model_folder)


def request(seed: int = 0, id: str = "a", **options: str) -> Request:
    return Request(encoded(knee_like(seed=seed)), options, id)


def only(outcomes: list[Answer | InputError]) -> Answer:
    (outcome,) = outcomes
    assert isinstance(outcome, Answer)
    return outcome


def test_an_answer_is_complete(reader: Reader) -> None:
    answer = only(reader.answer([request(id="film-7")]))
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


def test_every_film_of_a_mixed_batch_gets_its_own_answer_in_order(reader: Reader) -> None:
    requests = [
        request(1, "one"),
        Request(b"", {}, "empty"),
        request(2, "two", explain="none"),
        Request(b"text", {}, "text"),
        request(3, "three", target="all", explain="layercam"),
        request(4, "bad", age="old"),
        request(1, "one again", target="normal"),
    ]
    outcomes = reader.answer(requests)
    assert [type(outcome) for outcome in outcomes] == [
        Answer, EmptyInput, Answer, UnsupportedType, Answer, InvalidOption, Answer,
    ]  # fmt: skip
    one, two, three, again = (outcome for outcome in outcomes if isinstance(outcome, Answer))
    assert [answer.id for answer in (one, two, three, again)] == ["one", "two", "three", "one again"]
    assert two.explanations == ()
    assert [item.target for item in three.explanations] == list(reader.card.labels)
    assert {item.method for item in three.explanations} == {"layercam"}
    assert [item.target for item in again.explanations] == ["normal"]
    assert again.probabilities == pytest.approx(one.probabilities, abs=1e-5)
    alone = only(reader.answer([request(3)]))
    assert alone.probabilities == pytest.approx(three.probabilities, abs=1e-5)
    assert alone.probabilities != pytest.approx(one.probabilities, abs=1e-3)


def test_more_films_than_a_batch_are_answered_in_turns(reader: Reader) -> None:
    count = 2 * MAX_BATCH + 1
    outcomes = reader.answer([request(seed, str(seed), explain="none") for seed in range(count)])
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Answer)] == [str(seed) for seed in range(count)]


def test_five_calls_in_a_row_give_the_same_map(reader: Reader) -> None:
    maps = {only(reader.answer([request()])).explanations[0].map_png for _ in range(5)}
    assert len(maps) == 1


def test_slow_methods_are_refused_with_the_way_out(reader: Reader) -> None:
    (outcome,) = reader.answer([request(explain="scorecam")])
    assert isinstance(outcome, InvalidOption)
    assert "osteolens predict FILE --local --explain scorecam" in outcome.hint


def test_a_multi_page_tiff_is_answered_with_a_warning(reader: Reader) -> None:
    from PIL import Image

    page = Image.fromarray(knee_like())
    data = encoded(page, "TIFF", save_all=True, append_images=[page])
    answer = only(reader.answer([Request(data, {}, "a")]))
    assert answer.quality.warnings == ("the TIFF has 2 pages; only the first was read",)


def test_the_map_covers_the_film_as_displayed(reader: Reader) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.ascontiguousarray(np.rot90(knee_like(), 1))
    turned = only(reader.answer([Request(encoded(lying, exif=exif), {}, "a")]))
    upright = only(reader.answer([request()]))
    assert turned.film == upright.film
    assert turned.explanations == upright.explanations
