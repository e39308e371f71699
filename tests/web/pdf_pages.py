"""What the app's reports say."""

import base64
import re
import zlib


def pdf_text(content: bytes) -> str:
    """What a report's page says; reportlab writes a text as one string per line."""
    streams = re.findall(rb"stream\r?\n(.*?)(~>)?endstream", content, re.S)
    pages = [base64.a85decode(stream) if ascii85 else stream for stream, ascii85 in streams]
    text = b" ".join(zlib.decompressobj().decompress(page) for page in pages if page[:1] == b"x")
    words = b" ".join(re.findall(rb"\((.*?)\) Tj", text)).decode("latin-1")
    return " ".join(words.replace(" ' ", "' ").replace("' s ", "'s ").split())
