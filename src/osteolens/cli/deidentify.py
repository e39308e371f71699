"""`osteolens deidentify`: copies of DICOM films that do not say whose they are."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import Status, one_line_errors
from osteolens.errors import OsteoLensError, in_words
from osteolens.files import as_text, write_bytes

KEY = Path("deidentify.key")
_MAGIC_END = 132
"""Bytes after which a DICOM file says that it is one."""


@one_line_errors
def deidentify(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="DICOM films, and folders of them.")],
    out: Annotated[Path, options.out("Folder for the copies: one folder per patient, under new names.")],
    key: Annotated[
        Path,
        typer.Option(help="File with the secret that pseudonyms are made from; made if missing. Never give it away."),
    ] = KEY,
    keep_facts: Annotated[
        bool, typer.Option("--keep-facts", help="Keep age (at most 90), sex, size and weight.")
    ] = False,
    keep_pixels: Annotated[
        bool, typer.Option("--keep-pixels", help="Leave text that is burnt into the borders.")
    ] = False,
) -> None:
    """Write copies of DICOM films without the patient's identity, by the basic profile of the standard (PS3.15).

    Dates are shifted by as many days for each patient, and text in the borders is blacked out. With the same key a
    patient keeps the same pseudonym.

    Look at the copies before you give them away: text over the knee itself is not found.

    Exit status: 0 done, 2 wrong usage, 3 some files failed.
    """
    from rich.console import Console
    from rich.progress import track

    from osteolens.datasets.folders import describe
    from osteolens.dicomweb.pseudonyms import load_key

    _check_apart(inputs, out, key)
    passed_over: Counter[str] = Counter()
    problems: list[str] = []
    files = list(_files(inputs, str(out.resolve()), passed_over, problems))
    if not files and not problems:
        raise OsteoLensError(f"no DICOM film in {', '.join(map(str, inputs))}, for example films/knee.dcm")
    secret = load_key(key)
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    run = _Run(out, secret, clean_pixels=not keep_pixels, keep_facts=keep_facts)
    for path in track(files, "copying", console=console, disable=not console.is_terminal):
        try:
            run.copy(path)
        except (OsteoLensError, OSError) as error:
            problems.append(f"{path}: {in_words(error)}")
    for problem in problems:
        print(as_text(problem), file=sys.stderr)
    typer.echo(f"{run.summary()} {len(problems)} failed. Key: {key}")
    if sentence := describe(passed_over):
        typer.echo(sentence)
    raise typer.Exit(Status.SOME_FAILED if problems else Status.DONE)


class _Run:
    """Copies films one by one and counts."""

    def __init__(self, out: Path, key: bytes, *, clean_pixels: bool, keep_facts: bool) -> None:
        self._out, self._key, self._clean, self._facts = out, key, clean_pixels, keep_facts
        self._contents: dict[Path, bytes] = {}
        self._patients: set[str] = set()
        self._cleaned = self._missed = 0

    def copy(self, path: Path) -> None:
        """Write the copy of a film.

        Raises:
            OsteoLensError: It is no film that can be read, or another one of this call has its identifier.
            OSError: It cannot be read, or its copy cannot be written.
        """
        from osteolens.dicomweb.deidentify import deidentify as copy_of

        copy = copy_of(_content(path), self._key, clean_pixels=self._clean, keep_facts=self._facts)
        target = self._out / copy.patient / f"{copy.uid}.dcm"
        content = hashlib.sha256(copy.data).digest()
        if self._contents.setdefault(target, content) != content:
            raise OsteoLensError(f"another film has the same SOP Instance UID; its copy is {target}")
        target.parent.mkdir(exist_ok=True)
        write_bytes(target, copy.data)
        self._patients.add(copy.patient)
        self._cleaned += bool(copy.lines)
        self._missed += copy.missed

    def summary(self) -> str:
        """What was done, in sentences."""
        films, patients = len(self._contents), len(self._patients)
        text = f"{films} films of {patients} patients in {self._out}; text was blacked out in {self._cleaned}."
        if self._missed:
            text += f" {self._missed} say that text is burnt in where none was seen: look at them."
        return text


def _content(path: Path) -> bytes:
    from osteolens.errors import InputTooLarge
    from osteolens.films.read import MAX_BYTES

    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputTooLarge(f"the file has more than {MAX_BYTES:,} bytes", f"at most {MAX_BYTES:,} bytes")
    return data


def _check_apart(inputs: Sequence[Path], out: Path, key: Path) -> None:
    """Refuse an output folder in which an original, or the key, would lie beside the copies."""
    for path in inputs:
        if not path.exists():
            raise OsteoLensError(f"{path} is not there")
        folder = (path if path.is_dir() else path.parent).resolve()
        if out.resolve() == folder or folder.is_relative_to(out.resolve()):
            raise OsteoLensError(f"{path} lies in {out}: choose another folder for the copies, for example --out clean")
    if key.resolve().is_relative_to(out.resolve()):
        raise OsteoLensError(f"the key {key} would lie among the copies: choose another --key or --out")


def _files(inputs: Sequence[Path], apart_from: str, passed_over: Counter[str], problems: list[str]) -> Iterator[Path]:
    """Files that were named, and the DICOM files of folders, in order; those of folders are told by their content."""
    from osteolens.datasets.folders import files_below
    from osteolens.films.sniff import sniff

    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        for name, error in sorted(files_below(str(path), passed_over, apart_from)):
            try:
                if error:
                    raise error
                with Path(name).open("rb") as stream:
                    kind = sniff(stream.read(_MAGIC_END))
            except OSError as failure:
                problems.append(f"{name}: {in_words(failure)}")
                continue
            if kind == "DICOM":
                yield Path(name)
            else:
                passed_over[Path(name).suffix] += 1
