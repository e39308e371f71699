"""Names a file's type by its first bytes, for error messages; no decision trusts it."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),  # first: the 128 bytes before it may make the file a TIFF as well (PS3.10 7.1)
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "a GIF"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
    (8, b"AVI ", "an AVI video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"BM", "BMP"),
)
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_TEXT = frozenset(range(32, 127)) | frozenset(b"\t\r\n\f\b\x1b")


def sniff(data: bytes) -> str:
    """Name the type of some bytes: a supported format's own name, or words such as `a PDF document`."""
    for offset, magic, name in _SIGNATURES:
        if data.startswith(magic, offset):
            return name
    if data.startswith(b"ftyp", 4):
        return _base_media(data)
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if head.startswith((b"<?xml", b"<svg")):
        return "an XML or SVG document"
    if _is_text(data[:512]):
        return "plain text"
    return f"unknown data starting with bytes {data[:4].hex(' ')}"


def _base_media(data: bytes) -> str:
    """A picture or a video, by the brands in the first box (ISO/IEC 14496-12): pictures share the video's container."""
    box = data[8 : min(int.from_bytes(data[:4]), 256)]
    brands = {box[place : place + 4] for place in range(0, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return "an AVIF picture"
    return "a HEIC picture" if brands & _HEIC_BRANDS else "an MP4 video"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the cut at 512 bytes went through a character of up to four bytes
            return False
        text = head[: error.start].decode("utf-8")
    return not any(ord(char) < 32 and ord(char) not in _TEXT for char in text)
