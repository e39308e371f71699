"""What the app's reports say."""

import io

from pypdf import PdfReader


def pdf_text(content: bytes) -> str:
    """The words of all pages, with one space between them."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())
