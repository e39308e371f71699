"""One printed page of an answer."""

import io
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, KeepInFrame, Paragraph

from osteolens.films import overlay
from osteolens.schema import Answer, TScore

RESEARCH = "RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
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
    story = [Paragraph(escape(line), _BODY) for line in _lines(answer)]
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
        title = overlay.describe(first, answer.label)
        drawn = overlay.blend(shown, overlay.decode_map(first.map_png), title, strength=first.strength)
    else:
        drawn = overlay.blend(shown, np.zeros((8, 8), np.uint8), "", opacity=0)
    stream = io.BytesIO()
    drawn.convert("RGB").save(stream, "JPEG", quality=88)
    stream.seek(0)
    return ImageReader(stream)


def _lines(answer: Answer) -> list[str]:
    shares = ", ".join(f"{label} {share:.0%}" for label, share in answer.probabilities.items())
    lines = [f"Output of the model {answer.model.name}, version {answer.model.version}, from the film alone: {shares}."]
    if answer.t_score is not None:
        lines.append(f"T-score estimated from the film: {_t_score(answer.t_score)}.")
    lines.append(f"Triage zone: {answer.triage or 'none'}.")
    if answer.fused is not None:
        facts = ", ".join(name.split("_")[0] for name in answer.fused.inputs)
        shares = ", ".join(f"{label} {share:.0%}" for label, share in answer.fused.probabilities.items())
        lines.append(f"Together with {facts}: {shares}.")
        if answer.fused.t_score is not None:
            lines.append(f"T-score together with {facts}: {_t_score(answer.fused.t_score)}.")
    lines += [f"Note: {warning}." for warning in answer.quality.warnings]
    lines.append(f"Model card {answer.model.card_sha256[:16]}.")
    return lines


def _t_score(score: TScore) -> str:
    if score.interval_90 is None:
        return f"{score.estimate:.1f}"
    low, high = score.interval_90
    return f"{score.estimate:.1f} ({low:.1f} to {high:.1f} for 90 % of films)"
