"""The page of a batch, its statistics, and the overlays that it links to."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import encoded, knee_like
from PIL import Image

from osteolens import batch
from osteolens.batch.outputs import overlays, statistics
from osteolens.batch.outputs.statistics import kappa
from osteolens.errors import BatchError, OtherBatch
from osteolens.films import overlay

from .fake_server import LABELS, UNSURE, FakeServer, Response, shares_of
from .helpers import OUT, make_films, results, right_label

KNOWN_SENTENCE = str(UNSURE["image"]["sentence"])


def run(server: FakeServer, *inputs: str, **options: object) -> batch.Summary:
    return batch.run(inputs or ["films"], OUT, server=server.url, progress="quiet", **options)  # type: ignore[arg-type]


def make_pictures(count: int) -> dict[str, bytes]:
    """Real pictures: the page shows them."""
    Path("films").mkdir()
    films = {f"films/{number:02}.png": encoded(knee_like(150, 120, seed=number)) for number in range(count)}
    for name, content in films.items():
        Path(name).write_bytes(content)
    return films


def test_kappa_of_a_table_worked_out_by_hand() -> None:
    # 20 and 15 of 50 the same; by chance 25 * 30 + 25 * 20 of 2500: (0.7 - 0.5) / (1 - 0.5).
    assert kappa({("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10, ("b", "b"): 15}) == pytest.approx(0.4)
    assert kappa({("a", "a"): 9}) is None
    assert kappa({("a", "b"): 3, ("b", "a"): 3}) == pytest.approx(-1.0)


def test_the_page_says_what_came_of_every_film(server: FakeServer) -> None:
    films = make_pictures(12)
    Path("films/bad <1>.png").write_bytes(b"bad")
    run(server, "films", models=["efficientnet", "knee"], overlays=True)
    page = (OUT / "report.html").read_text()
    counted = {model: dict.fromkeys(LABELS, 0) for model in ("efficientnet", "knee")}
    for model, labels in counted.items():
        for content in films.values():
            labels[right_label(content, model)] += 1
        for label, count in labels.items():
            assert re.search(rf"<td>{label}</td>.*?<td class=\"number\">{count}</td>", page, re.DOTALL)
    assert "<h1>13 films</h1>" in page
    assert "The same label for" in page
    assert page.count('src="data:image/jpeg;base64,') == 12
    assert page.count("<td>unsupported_type</td>") == 3  # the count, and a row for each model
    assert "bad &lt;1&gt;.png" in page


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere(server: FakeServer) -> None:
    make_pictures(3)
    Path("films/100%? #1.png").write_bytes(Path("films/00.png").read_bytes())
    run(server, overlays=True)
    page = (OUT / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//|<script|@import|url\(", page)
    links = {unquote(link) for link in re.findall(r"href=\"([^\"#]+)\"", page)}
    assert all((OUT / link).exists() for link in links)
    assert "../films/100%? #1.png" in links
    assert sum(link.startswith("overlays/") for link in links) == 3  # copies share theirs


def test_films_to_refer_come_first_and_then_the_likeliest(server: FakeServer) -> None:
    films = make_pictures(30)
    run(server)
    with batch.journal.Journal(OUT, {"models": ["efficientnet"], "explain": "none", "overlays": "none"}) as journal:
        listed = statistics.look_first(journal, 30)
        assert [row["file"] for row in statistics.look_first(journal, 5)] == [row["file"] for row in listed[:5]]
        assert statistics.films(journal) == 30
    shares = {name: shares_of(content, "efficientnet") for name, content in films.items()}
    wanted = sorted(films, key=lambda name: (max(shares[name]) == shares[name][2], shares[name][2]), reverse=True)
    assert [row["file"] for row in listed] == wanted


def test_a_model_with_a_border_sorts_by_the_probability_of_that_label_and_worse_ones(server: FakeServer) -> None:
    films = make_pictures(30)
    run(server, models=["bordered"])
    ill = {name: sum(shares_of(content, "bordered")[1:]) for name, content in films.items()}
    with batch.journal.Journal(OUT, {"models": ["bordered"], "explain": "none", "overlays": "none"}) as journal:
        listed = [row for row in statistics.look_first(journal, 30) if not row["referred"]]
        assert [row["share"] for row in listed] == pytest.approx(sorted(
            (ill[f"films/{Path(row['file']).name}"] for row in listed), reverse=True
        ))  # fmt: skip
        assert [each.ill for each in statistics.model_statistics(journal)] == [f"{LABELS[1]} and above"]
    assert f"Probability of {LABELS[1]} and above" in (OUT / "report.html").read_text()


def test_the_page_leads_with_no_label_of_a_model_that_is_not_shown_to_beat_chance(server: FakeServer) -> None:
    films = make_pictures(6)
    first = next(iter(films))
    Path("t.csv").write_text("file,age\n" + "".join(f"{name},{63 if name == first else ''}\n" for name in films))
    run(server, "t.csv", models=["unsure"])
    rows = {Path(row["path"]).name: row for row in results(OUT)}
    with_age = rows.pop(Path(first).name)
    label = right_label(films[first], "unsure")
    assert (with_age["finding"], with_age["finding_from"], with_age["finding_triage"]) == (label, "fused", "refer")
    assert "with age" in with_age["evidence"]
    none = {
        (row["finding"], row["finding_from"], row["finding_triage"], row["finding_probability"])
        for row in rows.values()
    }
    assert none == {("no finding", "none", None, None)}
    assert all(row["label"] == right_label(films[f"films/{name}"], "unsure") for name, row in rows.items())
    page = (OUT / "report.html").read_text()
    assert page.count(KNOWN_SENTENCE) == 1
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert label in captions[0]
    assert [caption.split("<br>")[1].strip() for caption in captions[1:]] == ["no finding"] * 5


def test_films_are_in_no_order_where_nothing_is_known(server: FakeServer) -> None:
    make_pictures(3)
    run(server, models=["unsure"])
    page = (OUT / "report.html").read_text()
    assert "look at first" not in page.replace("which of them to look at first", "")
    assert "No model here was shown to know which of them to look at first" in page
    assert "Probability of" not in page


def test_a_page_without_any_answer(server: FakeServer) -> None:
    Path("t.csv").write_text("file\nabsent.png\n")
    assert run(server, "t.csv").status == 3
    page = (OUT / "report.html").read_text()
    assert "<h1>1 film</h1>" in page
    assert "file_not_found" in page
    assert "look at first" not in page


def test_overlays_have_the_wanted_colours(server: FakeServer) -> None:
    make_pictures(1)
    brightest = {}
    for name in overlay.COLOUR_MAPS:
        run(server, overlays=True, opacity=1, colour_map=name, fresh=True)
        (drawn,) = OUT.glob("overlays/*/*.jpg")
        with Image.open(drawn) as picture:
            shown = np.asarray(picture.convert("RGB")).astype(int)
        # The bar on the right runs from the brightest colour to the darkest.
        top = overlay.colours(np.array([255], np.uint8), name)[0].astype(int)
        assert (abs(shown[:, 120:] - top).max(axis=2) < 40).any(), name
        brightest[name] = tuple(top)
    assert len(set(brightest.values())) == len(overlay.COLOUR_MAPS)


def test_other_colours_in_the_same_folder_are_refused(server: FakeServer) -> None:
    make_pictures(1)
    run(server, overlays=True)
    with pytest.raises(OtherBatch, match=r"overlays inferno at 0\.6; this call says overlays magma at 0\.5"):
        run(server, overlays=True, colour_map="magma", opacity=0.5)
    with pytest.raises(BatchError, match=r"colour map is 'rainbow'; there are inferno, magma, viridis, turbo"):
        run(server, overlays=True, colour_map="rainbow")


def test_a_film_that_only_the_server_can_read_has_a_row_but_no_overlay(server: FakeServer) -> None:
    make_films(Path("films"), 2)
    assert run(server, overlays=True).totals.answered == 2
    assert not (OUT / overlays.FOLDER).exists()
    assert 'src="data:' not in (OUT / "report.html").read_text()


def test_a_map_that_is_no_picture_is_a_damaged_answer_and_asked_for_again(server: FakeServer) -> None:
    """A network may change a map where no digest is sent along."""
    make_pictures(3)

    def broken_once(number: int, film: bytes, response: Response) -> Response | None:
        return Response(body=response.body.replace(b"iVBORw", b"iVBXRw")) if number == 2 else None

    server.fault = broken_once
    assert run(server, overlays=True).totals == batch.Totals(answered=2, failed=1)
    assert run(server, overlays=True).totals == batch.Totals(answered=3)
    assert server.requests == 4


@pytest.mark.parametrize("name", sorted(set(overlay.COLOUR_MAPS) - {"turbo"}))
def test_brighter_colours_mean_more(name: str) -> None:
    brightness = overlay.colours(np.arange(256, dtype=np.uint8), name) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(brightness) > -0.5).all()  # but for rounding
    assert brightness[-1] - brightness[0] > 150
