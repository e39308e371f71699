"""A film, its overlay and its figures on one page of PDF."""

import io
import unicodedata
from collections.abc import Iterator
from html import escape
from typing import Any

from PIL import Image
from project.context import RESEARCH_ONLY
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, KeepInFrame, Paragraph, Spacer

from films import pictures, wording
from films.colours import DEFAULT
from films.models import Film
from films.pictures import Grey
from films.presenting import PartView, ReadingView
from osteolens.schema import percent

_MARGIN, _GAP = 18 * mm, 6 * mm
_PICTURE_HEIGHT = 100 * mm
PRINTED_SIDE = 1400
_OPACITY = 0.6
_JPEG_QUALITY = 92
_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=9.5, leading=13)
_SMALL = ParagraphStyle("small", parent=_BODY, fontSize=7.5, leading=10, textColor="#555555")
_HEAD = ParagraphStyle("head", parent=_BODY, fontName="Helvetica-Bold", fontSize=12, leading=17, spaceBefore=4)


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
    page.setTitle(f"OsteoLens report {film.id}")
    width, height = A4
    inner = width - 2 * _MARGIN
    page.setFont("Helvetica-Bold", 16)
    page.drawString(_MARGIN, height - _MARGIN - 4 * mm, "OsteoLens: one knee film")
    top = height - _MARGIN - 12 * mm
    strength = next(entry["map"]["strength"] for entry in view.classes if entry["label"] == label)
    below = top - _draw_pictures(page, grey, levels, strength, top, inner) - _GAP
    foot = _MARGIN + 8 * mm
    frame = Frame(_MARGIN, foot, inner, below - foot, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    frame.addFromList([KeepInFrame(inner, below - foot, _story(film, view, label, strength), mode="shrink")], page)
    page.setFont("Helvetica-Bold", 9)
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
        drawing.add(String(0, low + 1, _plain(entry["label"]), fontSize=9.5))
        for share, colour in ((1.0, "#e6e8eb"), (entry["probability"], "#1f5f8b")):
            bar = Rect(start, low, longest * share, row - 2 * mm, fillColor=HexColor(colour), strokeColor=None)
            drawing.add(bar)
        drawing.add(String(start + longest + 2 * mm, low + 1, entry["percent"], fontSize=9.5))
    return drawing


def _jpeg(picture: Image.Image) -> io.BytesIO:
    """A page takes JPEG as it is: a tenth of the size that raw pixels would have."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer


def _story(film: Film, view: ReadingView, label: str, strength: float | None) -> list[Flowable]:
    """The text below the pictures: what leads and why, then the numbers of each part."""
    lead = view.lead
    share = "" if lead.probability is None else f", {percent(lead.probability)}"
    top = [lead.sentence, *([wording.OUTDATED] if view.outdated else [])]
    leading = next((part for part in view.parts if part.leads), None)
    top += [leading.triage_words] if leading else []
    about = [f"Film: {film.title} ({film.width} x {film.height}), uploaded {_time(film.uploaded_at)}"]
    if film.facts:
        known = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in film.facts.items())
        about.append(f"Patient: {known}")
    if film.note:
        about.append(f"Note: {film.note}")
    small = [
        f"Right: Grad-CAM for {label}, {_scale(strength)}. It shows what the model's computation rests on, "
        "not bone density or a lesion.",
        f"Model {view.model} {view.model_version}, card {view.card_sha256[:16]}, answered {_time(view.answered_at)}; "
        f"film {film.id}, SHA-256 {film.sha256[:16]}",
    ]
    warnings = [*film.picture_warnings, *view.warnings]
    return [
        Paragraph(_text(f"{lead.text[0].upper()}{lead.text[1:]}{share}"), _HEAD),
        *(Paragraph(_text(line), _BODY) for line in top if line),
        *(flowable for part in view.parts for flowable in _part(part)),
        Spacer(1, 2 * mm),
        *(Paragraph(_text(line), _BODY) for line in (*warnings, *about)),
        Spacer(1, 2 * mm),
        *(Paragraph(_text(line), _SMALL) for line in small),
    ]


def _part(part: PartView) -> Iterator[Flowable]:
    """Probabilities and T-score of the film alone, or with the patient's facts."""
    what = part.source.capitalize() if part.leads else f"Output of the model, {part.source}"
    yield Spacer(1, 2 * mm)
    yield Paragraph(_text(f"{what}: {part.label}{f', {part.triage}' if part.triage else ''}"), _BODY)
    yield _bars(part.classes)
    for words in (part.t_score["words"] if part.t_score else "", part.spread_words):
        if words:
            yield Paragraph(_text(words), _BODY)


def _scale(strength: float | None) -> str:
    words = wording.map_strength(strength)
    return f"colours relative to its own maximum, {words}" if words else "relative to its own maximum"


def _time(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _text(text: str) -> str:
    """Safe as a paragraph's markup."""
    return escape(_plain(text))


def _plain(text: str) -> str:
    """Text with the name in brackets of each character that the page's font lacks, such as `[bone]`."""
    return "".join(map(_drawn, text))


def _drawn(character: str) -> str:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        # Marks and joiners only change how their neighbour looks.
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            return ""
        return f"[{unicodedata.name(character, 'character').lower()}]"
    return character
