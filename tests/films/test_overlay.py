import numpy as np
from conftest import knee_like

from osteolens.films import overlay
from osteolens.schema import Explanation


def test_map_png_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(overlay.decode_map(overlay.encode_map(levels)), levels)


def test_colours_run_from_black_to_bright() -> None:
    table = overlay.colours(np.arange(256, dtype=np.uint8)).astype(int)
    assert table[0].tolist() == [0, 0, 4]
    assert table[255].tolist() == [252, 255, 164]
    brightness = table @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(brightness) >= 0).all()


def test_layer_is_transparent_where_the_map_is_empty() -> None:
    levels = np.array([[0, 255]], np.uint8)
    rgba = np.asarray(overlay.layer(levels, opacity=0.6))
    assert rgba[0, 0, 3] == 0
    assert rgba[0, 1].tolist() == [252, 255, 164, 153]


def test_blend_leaves_the_film_alone_where_the_map_is_empty() -> None:
    film = knee_like(300, 240)
    levels = np.zeros((30, 24), np.uint8)
    levels[20:, :] = 255
    page = np.asarray(overlay.blend(film, levels, "title", opacity=1.0))
    top = page.shape[0] - 300
    shown = page[top:, :240]
    np.testing.assert_array_equal(shown[:150], np.repeat(film[:150, :, None], 3, axis=2))
    np.testing.assert_array_equal(shown[250:], np.broadcast_to([252, 255, 164], (50, 240, 3)))
    bar = page[top:, 240:]
    assert (bar == np.array([252, 255, 164])).all(axis=2).any()


def test_an_empty_map_has_no_peak() -> None:
    from osteolens.card import PreprocessSpec
    from osteolens.films.prepare import prepare

    geometry = prepare(knee_like(), PreprocessSpec(height=64, width=64)).geometry
    levels, peak = overlay.map_on_film(np.zeros((2, 2), np.float32), geometry)
    assert peak == 0.0
    assert not levels.any()


def test_a_weak_map_is_drawn_fainter() -> None:
    levels = np.array([[0, 255, 100]], np.uint8)
    assert np.asarray(overlay.layer(levels, opacity=0.6, strength=0.5))[0, :, 3].tolist() == [0, 76, 30]
    full = overlay.layer(levels, opacity=0.6)
    assert full.tobytes() == overlay.layer(levels, opacity=0.6, strength=1.0).tobytes()
    film = knee_like(60, 50)
    shown = np.asarray(overlay.blend(film, np.full((6, 5), 255, np.uint8), "title", opacity=1.0, strength=0.0))
    np.testing.assert_array_equal(shown[-60:, :50], np.repeat(film[:, :, None], 3, axis=2))


def test_the_title_says_how_strong_a_map_is() -> None:
    weak = Explanation(method="gradcam", target="normal", map_png="", peak=0.3, strength=0.03)
    first, second = overlay.describe(weak, "osteopenia").splitlines()
    assert first == "normal (gradcam), answer: osteopenia"
    assert second == "map strength 0.03 of the training films' median"
    unknown = weak.model_copy(update={"strength": None})
    assert overlay.describe(unknown, "osteopenia") == first


def test_a_title_of_two_lines_leaves_the_film_whole() -> None:
    film, levels = np.full((300, 240), 120, np.uint8), np.zeros((30, 24), np.uint8)
    low, high = (np.asarray(overlay.blend(film, levels, title)) for title in ("one", "one\ntwo"))
    assert high.shape[0] > low.shape[0]
    for page in (low, high):
        assert (page[-300:, :240] == 120).all()
        assert not page[-301, :240].any()
