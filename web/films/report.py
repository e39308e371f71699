"""A film, its overlay and its figures on one page of PDF."""

import io
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any

import font_roboto
from django.utils.formats import date_format
from django.utils.translation import gettext
from PIL import Image
from project.context import RESEARCH_ONLY
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, KeepInFrame, Paragraph, Spacer

from films import pictures, terms, wording
from films.colours import DEFAULT
from films.models import Film
from films.pictures import Grey
from films.presenting import PartView, ReadingView

_MARGIN, _GAP = 18 * mm, 6 * mm
_PICTURE_HEIGHT = 100 * mm
PRINTED_SIDE = 1400
_OPACITY = 0.6
_JPEG_QUALITY = 92
_FONT, _BOLD = "Roboto", "Roboto-Bold"
# Latin, Greek and Cyrillic; the fonts that every PDF reader has know Western Europe alone.
pdfmetrics.registerFont(TTFont(_FONT, font_roboto.Roboto))
pdfmetrics.registerFont(TTFont(_BOLD, font_roboto.RobotoBold))
_BODY = ParagraphStyle("body", fontName=_FONT, fontSize=9.5, leading=13)
_SMALL = ParagraphStyle("small", parent=_BODY, fontSize=7.5, leading=10, textColor="#555555")
_HEAD = ParagraphStyle("head", parent=_BODY, fontName=_BOLD, fontSize=12, leading=17, spaceBefore=4)


def report(film: Film, view: ReadingView, label: str, grey: Grey, levels: Grey) -> bytes:
    """The report.

    Args:
        film: The film.
        view: The answer.
        label: The class whose map is shown.
        grey: uint8 [H, W], the film at the size that it is printed in: longest side `PRINTED_SIDE`.
        levels: uint8 [h, w], the map, which covers the film.

    Returns:
        A PDF of one A4 page, however long label and warnings are: text shrinks to fit.
    """
    buffer = io.BytesIO()
    page = Canvas(buffer, A4, pageCompression=1)
    page.setTitle(f"OsteoLens {film.id}")
    width, height = A4
    inner = width - 2 * _MARGIN
    page.setFont(_BOLD, 16)
    page.drawString(_MARGIN, height - _MARGIN - 4 * mm, gettext("OsteoLens: one knee film"))
    top = height - _MARGIN - 12 * mm
    strength = next(entry["map"]["strength"] for entry in view.classes if entry["label"] == label)
    below = top - _draw_pictures(page, grey, levels, strength, top, inner) - _GAP
    foot = _MARGIN + 8 * mm
    frame = Frame(_MARGIN, foot, inner, below - foot, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    frame.addFromList([KeepInFrame(inner, below - foot, _story(film, view, label, strength), mode="shrink")], page)
    page.setFont(_BOLD, 9)
    page.drawString(_MARGIN, _MARGIN, str(RESEARCH_ONLY))
    page.save()
    return buffer.getvalue()


def _draw_pictures(page: Canvas, grey: Grey, levels: Grey, strength: float | None, top: float, inner: float) -> float:
    """Draw the film and its overlay side by side; their height in points."""
    small = Image.fromarray(grey)
    overlay = pictures.under_map(grey, levels, DEFAULT, _OPACITY, 0.0, strength)
    room = (inner - _GAP) / 2
    scale = min(room / small.width, _PICTURE_HEIGHT / small.height)
    wide, high = small.width * scale, small.height * scale
    for place, picture in enumerate((small, overlay)):
        page.drawImage(ImageReader(_jpeg(picture)), _MARGIN + place * (room + _GAP), top - high, wide, high)
    return float(high)


def _bars(classes: list[dict[str, Any]]) -> Drawing:
    """Probabilities as bars."""
    row, start, longest = 5.5 * mm, 34 * mm, 100 * mm
    drawing = Drawing(start + longest + 15 * mm, row * len(classes))
    for place, entry in enumerate(reversed(classes)):
        low = place * row + 1 * mm
        drawing.add(String(0, low + 1, entry["name"], fontName=_FONT, fontSize=9.5))
        for share, colour in ((1.0, "#e6e8eb"), (entry["probability"], "#1f5f8b")):
            bar = Rect(start, low, longest * share, row - 2 * mm, fillColor=HexColor(colour), strokeColor=None)
            drawing.add(bar)
        drawing.add(String(start + longest + 2 * mm, low + 1, entry["percent"], fontName=_FONT, fontSize=9.5))
    return drawing


def _jpeg(picture: Image.Image) -> io.BytesIO:
    """A page takes JPEG as it is: a tenth of the size that raw pixels would have."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer


def _story(film: Film, view: ReadingView, label: str, strength: float | None) -> list[Flowable]:
    """The text below the pictures: what leads and why, then the numbers of each part."""
    share = "" if view.lead.probability is None else f", {terms.share(view.lead.probability)}"
    leading = next((part for part in view.parts if part.leads), None)
    top = [
        view.lead_sentence,
        view.grades,
        str(wording.OUTDATED) if view.outdated else "",
        leading.triage_words if leading else "",
    ]
    warnings = [terms.sentence(warning) for warning in (*film.picture_warnings, *view.warnings)]
    head, middle, small = (
        f"{_capital(view.lead_text)}{share}",
        [*warnings, *_about(film)],
        _small(film, view, label, strength),
    )
    texts = [head, *top, *middle, *small]
    letters = {character for text in texts for character in text if not _is_mark(character)}
    missing = sorted(character for character in letters if not _is_drawn(character))
    if missing:
        codes = ", ".join(f"U+{ord(character):04X}" for character in missing)
        small.append(gettext("Boxes stand for characters that this page's font lacks: %(codes)s.") % {"codes": codes})
    return [
        Paragraph(_text(head), _HEAD),
        *(Paragraph(_text(line), _BODY) for line in top if line),
        *(flowable for part in view.parts for flowable in _part(part)),
        Spacer(1, 2 * mm),
        *(Paragraph(_text(line), _BODY) for line in middle),
        Spacer(1, 2 * mm),
        *(Paragraph(_text(line), _SMALL) for line in small),
    ]


def _about(film: Film) -> list[str]:
    """What is known of the film and its patient."""
    values = {"title": film.title, "width": film.width, "height": film.height, "day": _time(film.uploaded_at)}
    about = [gettext("Film: %(title)s (%(width)s x %(height)s), uploaded %(day)s") % values]
    facts = [
        *([f"{gettext('age')} {terms.number(film.age, 'g')}"] if film.age is not None else []),
        *([f"{gettext('sex')} {terms.word(film.sex)}"] if film.sex else []),
        *([f"{gettext('weight')} {terms.number(film.weight_kg, 'g')} kg"] if film.weight_kg is not None else []),
        *([f"{gettext('height')} {terms.number(film.height_m, 'g')} m"] if film.height_m is not None else []),
    ]
    if film.patient_name:
        facts.insert(0, film.patient_name)
    if facts:
        about.append(gettext("Patient: %(facts)s") % {"facts": ", ".join(facts)})
    if film.note:
        about.append(gettext("Note: %(note)s") % {"note": film.note})
    return about


def _small(film: Film, view: ReadingView, label: str, strength: float | None) -> list[str]:
    """Where the map and the answer come from."""
    words = wording.map_strength(strength)
    values = {"label": terms.word(label), "strength": words}
    if words:
        scale = gettext("Right: Grad-CAM for %(label)s, colours relative to its own maximum, %(strength)s.") % values
    else:
        scale = gettext("Right: Grad-CAM for %(label)s, relative to its own maximum.") % values
    rests = gettext("It shows what the model's computation rests on, not bone density or a lesion.")
    origin = gettext(
        "Model %(model)s %(version)s, card %(card)s, answered %(day)s; film %(film)s, SHA-256 %(sha256)s"
    ) % {
        "model": view.model,
        "version": view.model_version,
        "card": view.card_sha256[:16],
        "day": _time(view.answered_at),
        "film": film.id,
        "sha256": film.sha256[:16],
    }
    return [f"{scale} {rests}", origin]


def _part(part: PartView) -> Iterator[Flowable]:
    """Probabilities and T-score of the film alone, or with the patient's facts."""
    what = _capital(part.source)
    if not part.leads:
        what = gettext("Output of the model, %(source)s") % {"source": part.source}
    zone = f", {terms.word(part.triage)}" if part.triage else ""
    yield Spacer(1, 2 * mm)
    yield Paragraph(_text(f"{what}: {terms.word(part.label)}{zone}"), _BODY)
    yield _bars(part.classes)
    for words in (part.t_score["words"] if part.t_score else "", part.spread_words):
        if words:
            yield Paragraph(_text(words), _BODY)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _time(at: datetime) -> str:
    return f"{date_format(at, 'SHORT_DATETIME_FORMAT')} UTC"


def _text(text: str) -> str:
    """Safe as a paragraph's markup, without marks and joiners that only change how their neighbour looks."""
    return escape("".join(character for character in text if _is_drawn(character) or not _is_mark(character)))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me", "Cf")


def _is_drawn(character: str) -> bool:
    """Whether the font has it; what it lacks becomes the font's own box."""
    return ord(character) in pdfmetrics.getFont(_FONT).face.charToGlyph or character.isspace()
