"""One printed page of an answer."""

import io
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, KeepInFrame, Paragraph

from osteolens.films import overlay
from osteolens.schema import Answer, Knee, TScore, percent

RESEARCH = "RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
rl_config.useA85 = 0  # writing the picture as text takes most of the time of a page
_MARGIN, _PICTURE_HEIGHT = 18 * mm, 150 * mm
_MAX_PIXELS = 1000  # 170 per inch of the picture's height
_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14)


def page_of(pixels: NDArray[np.uint8], answer: Answer) -> bytes:
    """A PDF of one A4 page: the film, with its first map if it has one, and the answer's numbers.

    It names no patient, and the same answer gives the same bytes.

    Args:
        pixels: uint8 [H, W], the film.
        answer: Its answer.
    """
    stream = io.BytesIO()
    page = Canvas(stream, A4, pageCompression=1, invariant=1)
    page.setTitle(f"OsteoLens {answer.model.name}")
    width, height = A4
    inner, top = width - 2 * _MARGIN, height - _MARGIN
    page.setFont("Helvetica-Bold", 16)
    page.drawString(_MARGIN, top - 5 * mm, "OsteoLens: one knee film")
    picture = _picture(pixels, answer)
    scale = min(inner / picture.getSize()[0], _PICTURE_HEIGHT / picture.getSize()[1])
    shown_width, shown_height = (side * scale for side in picture.getSize())
    below = top - 12 * mm - shown_height
    page.drawImage(picture, _MARGIN, below, shown_width, shown_height)
    foot = _MARGIN + 8 * mm
    frame = Frame(
        _MARGIN, foot, inner, below - foot - 4 * mm, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0
    )
    story = [Paragraph(escape(line), _BODY) for line in lines(answer)]
    frame.addFromList([KeepInFrame(inner, below - foot - 4 * mm, story, mode="shrink")], page)
    page.setFont("Helvetica-Bold", 9)
    page.drawString(_MARGIN, _MARGIN, RESEARCH)
    page.save()
    return stream.getvalue()


def _picture(pixels: NDArray[np.uint8], answer: Answer) -> ImageReader:
    """The film under its first map, in as many pixels as the page shows; JPEG, as others take reportlab seconds."""
    smaller = min(1, _MAX_PIXELS / max(pixels.shape))
    shown = np.asarray(cv2.resize(pixels, None, fx=smaller, fy=smaller, interpolation=cv2.INTER_AREA), np.uint8)
    if answer.explanations:
        first = answer.explanations[0]
        title = overlay.describe(first, answer)
        drawn = overlay.blend(shown, overlay.decode_map(first.map_png), title, strength=first.strength)
    else:
        drawn = overlay.blend(shown, np.zeros((8, 8), np.uint8), "", opacity=0)
    stream = io.BytesIO()
    drawn.convert("RGB").save(stream, "JPEG", quality=88)
    stream.seek(0)
    return ImageReader(stream)


def lines(answer: Answer) -> list[str]:
    """The answer in sentences: what leads and why, then the numbers of each part."""
    lead = answer.lead
    text = [f"{lead.text[0].upper()}{lead.text[1:]}.", lead.sentence]
    for part in answer.parts:
        shares = ", ".join(f"{label} {percent(share)}" for label, share in part.answer.probabilities.items())
        text.append(f"{'Answer' if part.leads else 'Output of the model'}, {part.source}: {shares}.")
        if part.answer.t_score is not None:
            text.append(f"T-score, {part.source}: {_t_score(part.answer.t_score)}.")
    names = [knee_name(knee, number) for number, knee in enumerate(answer.knees, 1)]
    text += [f"On the film: {' and '.join(names)}."] if names else []
    for name, knee in zip(names, answer.knees, strict=True):
        if knee.probabilities:
            shares = ", ".join(f"{label} {percent(share)}" for label, share in knee.probabilities.items())
            text.append(f"{'Answer' if lead.part == 'image' else 'Output of the model'}, {name}: {shares}.")
    text.append(f"Triage zone: {lead.triage or 'none'}.")
    text.append(f"Model {answer.model.name}, version {answer.model.version}.")
    text += [f"Note: {warning}." for warning in answer.quality.remarks]
    text.append(f"Model card {answer.model.card_sha256[:16]}.")
    return text


def knee_name(knee: Knee, number: int) -> str:
    """`right knee`, or its number from the left where its side is not known."""
    return f"{knee.side} knee" if knee.side else f"knee {number}"


def _t_score(score: TScore) -> str:
    if score.interval_90 is None:
        return f"{score.estimate:.1f}"
    low, high = score.interval_90
    return f"{score.estimate:.1f} ({low:.1f} to {high:.1f} for 90 % of films)"
