"""The zip archives that the upload page unpacks in the browser: `static/js/archive.js`, run by Node."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from web_films import film_bytes

SCRIPT = Path(__file__).parents[2] / "web" / "static" / "js" / "archive.js"
FILM = film_bytes(kind="DICOM")
TEXTS = """
globalThis.gettext = (text) => text;
globalThis.interpolate = (text, values) => text.replace(/%\\((\\w+)\\)s/g, (_, name) => values[name]);
"""
RUN = """
const { unpack } = await import(process.argv[1]);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
try {
  const films = await unpack(new File(chunks, "films.zip"), 1000000);
  const sums = films.map(async (film) => {
    const digest = await crypto.subtle.digest("SHA-256", await film.arrayBuffer());
    return [film.name, Buffer.from(digest).toString("hex")];
  });
  console.log(JSON.stringify({ films: await Promise.all(sums) }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
"""


@pytest.fixture(autouse=True)
def _node() -> None:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return stream.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    command = ["node", "--input-type=module", "-e", TEXTS + RUN, SCRIPT.as_uri()]
    done = subprocess.run(command, input=content, capture_output=True, check=True, timeout=60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_films_come_out_byte_for_byte_without_their_folders(method: int) -> None:
    other = film_bytes(1, "DICOM")
    files = {
        "disc/DICOMDIR": b"list", "disc/Mustermann/1.2.3": FILM, "disc/../../b.dcm": other, "__MACOSX/._b.dcm": b"x",
        "disc/.DS_Store": b"x", "empty/": b"",
    }  # fmt: skip
    films = [["1.2.3", hashlib.sha256(FILM).hexdigest()], ["b.dcm", hashlib.sha256(other).hexdigest()]]
    assert unpacked(archive(files, method)) == {"films": films}


def lying(content: bytes) -> bytes:
    """The archive whose list says that its film has 10 bytes."""
    entry = content.rindex(b"PK\x01\x02")
    return content[: entry + 24] + (10).to_bytes(4, "little") + content[entry + 28 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "no zip archive"),
        (archive({}), "holds no files"),
        (archive({"a.dcm": FILM})[:-30], "no zip archive"),
        (archive({"a.dcm": FILM})[500:], "damaged|cut"),
        (archive({"inner.zip": archive({"a.dcm": FILM})}), "holds another one"),
        (archive({f"{number}.dcm": b"x" for number in range(501)}), "501 files, at most 500"),
        (archive({"a.dcm": bytes(2_000_000)}), "larger than 1 MB"),
        (lying(archive({"a.dcm": FILM})), "another size"),
        (archive({"a.dcm": FILM}, zipfile.ZIP_BZIP2), "packed in a way that is not read"),
    ],
)
def test_other_archives_are_refused_by_name(content: bytes, message: str) -> None:
    assert re.search(message, unpacked(content)["error"])
