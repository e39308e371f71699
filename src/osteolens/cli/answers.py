"""Films answered one by one: a table, or JSON, on the terminal; a JSON file and overlays for each film."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from osteolens.console import Status
from osteolens.errors import InputError, OsteoLensError, RequestRefused, ServerUnreachable, in_words
from osteolens.files import whole, write_text
from osteolens.parameters import PatientFact, fact_words
from osteolens.rows import FilmRefused, Refusal
from osteolens.schema import Answer, Fused, Knee, TScore

Ask = Callable[[Path, Mapping[str, str]], Answer]
"""Answers a film, given its path and option texts by name."""

Outcome = Answer | OsteoLensError | OSError

_COLUMNS = ("film", "answer", "probabilities", "T-score", "triage", "remarks")
_EXAMPLES: dict[PatientFact, str] = {
    "age": "--age 63", "sex": "--sex female", "weight_kg": "--weight-kg 71.5", "height_m": "--height-m 1.62",
}  # fmt: skip


def predict_films(
    files: Sequence[Path], ask: Ask, options: Mapping[str, str], out: Path, *, opacity: float, json_output: bool
) -> int:
    """Answer every film, show and write the answers, and return the exit status.

    Args:
        files: Films.
        ask: Answers one.
        options: Option texts by name.
        out: Folder for `<film>.json` and `<film>.<class>.png`; made when the first answer is there.
        opacity: Opacity of the overlays, 0 to 1.
        json_output: Print JSON instead of a table.
    """
    outcomes: list[tuple[Path, Outcome]] = []
    progress = Console(stderr=True)
    names: Iterable[tuple[Path, str]] = _names(files, out).items()
    if progress.is_terminal:
        from rich.progress import track

        names = track(list(names), "answering", console=progress)
    for path, name in names:
        try:
            answer = ask(path, options)
            _write(path, name, answer, out, opacity)
            outcomes.append((path, answer))
        except ServerUnreachable as error:
            progress.print(printable(f"error: {error}"), style="red", soft_wrap=True, highlight=False)
            _report(outcomes, json_output)
            return Status.UNREACHABLE
        except (OsteoLensError, OSError) as error:
            outcomes.append((path, error))
    _report(outcomes, json_output)
    return Status.DONE if all(isinstance(outcome, Answer) for _, outcome in outcomes) else Status.SOME_FAILED


def _write(path: Path, name: str, answer: Answer, out: Path, opacity: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    answer_file = out / f"{name}.json"
    # What it is of: another film of that name gets another file, in this call and in later ones.
    write_text(answer_file, json.dumps({"file": _absolute(path), **_dumped(answer)}, indent=2) + "\n")
    if answer.explanations:
        import numpy as np

        from osteolens.films import overlay  # OpenCV and Pillow, which the other commands start without
        from osteolens.films.read import read

        film = read(path).pixels
        for explanation in answer.explanations:
            title, levels = overlay.describe(explanation, answer), overlay.decode_map(explanation.map_png)
            drawn = overlay.blend(film, levels, title, opacity, strength=explanation.strength)
            with whole(out / f"{name}.{_file_part(explanation.target)}.png") as draft:
                draft.write_bytes(overlay.encode_png(np.asarray(drawn)))


def _file_part(label: str) -> str:
    """A label as part of a file's name: what some file system does not take, such as `/`, is percent-encoded."""
    return re.sub(r"[^\w .+-]", lambda match: quote(match[0], safe=""), label)


def _report(outcomes: list[tuple[Path, Outcome]], json_output: bool) -> None:
    if json_output:
        print(json.dumps([{"file": str(path), **_as_json(outcome)} for path, outcome in outcomes], indent=2))
        return
    if not outcomes:
        return
    names = Counter(path.name for path, _ in outcomes)
    shown = [(str(path) if names[path.name] > 1 else path.name, outcome) for path, outcome in outcomes]
    rows = [row for name, outcome in shown for row in _rows(printable(name), outcome)]
    filled = [column for column in range(len(_COLUMNS)) if any(row[column] for row in rows)]
    table = Table(*(_COLUMNS[column] for column in filled), caption=_caption([outcome for _, outcome in outcomes]))
    for row in rows:
        table.add_row(*(Text(row[column], overflow="fold") for column in filled))
    console = Console(emoji=False)  # nothing here is one, and their table takes time to load
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # For a file or another program: as wide as it must be, so that nothing is cut or wrapped.
        console.width = max(console.width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)
    for sentence in _evidence([outcome for _, outcome in outcomes]):
        console.print(sentence, soft_wrap=True, highlight=False)


def _rows(name: str, outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """A film's rows of the table: what leads, then the other parts as the model's output."""
    if isinstance(outcome, FilmRefused):
        yield name, "not answered", "", "", "", printable(f"{outcome.message} (--force has it answered all the same)")
        return
    if not isinstance(outcome, Answer):
        yield name, "error", "", "", "", printable(in_words(outcome))
        return
    lead, parts, warnings = outcome.lead, list(outcome.parts), "; ".join(outcome.quality.remarks)
    if parts[0].leads:
        yield name, lead.headline, *_numbers(parts.pop(0).answer), warnings
    else:
        yield name, lead.headline, "", "", "", warnings
    for part in parts:
        yield f"  {part.source}, output", part.answer.label, *_numbers(part.answer), ""
    for number, knee in enumerate(outcome.knees, 1):
        if knee.label:
            name = f"{knee.side} knee" if knee.side else f"knee {number} from the left"
            yield f"  {name}, output", knee.label, *_numbers(knee), ""


def _numbers(answer: Answer | Fused | Knee) -> tuple[str, str, str]:
    shares = ", ".join(f"{label} {_share(share)}" for label, share in (answer.probabilities or {}).items())
    return shares, _t_score(answer.t_score), answer.triage or ""


def _share(probability: float) -> str:
    """Two decimals, never shown as impossible or certain."""
    if 0 < probability < 0.005:
        return "<0.01"
    return ">0.99" if 0.995 <= probability < 1 else f"{probability:.2f}"


def _t_score(score: TScore | None) -> str:
    if score is None:
        return ""
    interval = f" ({score.interval_90[0]:+.1f} to {score.interval_90[1]:+.1f})" if score.interval_90 else ""
    return f"{score.estimate:+.1f}{interval}"


def _caption(outcomes: Sequence[Outcome]) -> str:
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    notes = ["Research software, not a diagnostic device."]
    if any(answer.t_score and answer.t_score.interval_90 for answer in answers):
        notes.append("T-scores with 90 % intervals.")
    if any(answer.triage or answer.fused for answer in answers):
        notes.append("Low suspicion rules nothing out.")
    return " ".join(notes)


def _evidence(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Why the answers lead with what they lead with, and which options would help: each sentence once."""
    leads = [outcome.lead for outcome in outcomes if isinstance(outcome, Answer)]
    for part in ("none", "fused", "image"):
        yield from dict.fromkeys(lead.sentence for lead in leads if lead.part == part)
    for facts in dict.fromkeys(lead.helpful_facts for lead in leads if lead.helpful_facts):
        options = " ".join(_EXAMPLES[fact] for fact in facts)
        yield f"For an answer that counts, add {fact_words(facts)} of the patient: {options}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Answer):
        return {"answer": _dumped(outcome)}
    if isinstance(outcome, FilmRefused):
        return {"answer": _dumped(outcome.row)}
    code = outcome.code if isinstance(outcome, InputError | RequestRefused) else type(outcome).__name__
    return {"error": {"code": code, "message": in_words(outcome)}}


def _dumped(answer: Answer | Refusal) -> dict[str, Any]:
    dumped: dict[str, Any] = answer.model_dump(mode="json", by_alias=True)
    return dumped


def _names(files: Sequence[Path], out: Path) -> dict[Path, str]:
    """A name for each film's answer: its stem, numbered where another film has it, also in another case of letters."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in files:
        candidates = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        names[path] = next(
            name for name in candidates if name.casefold() not in taken and _is_free(out / f"{name}.json", path)
        )
        taken.add(names[path].casefold())
    return names


def _is_free(answer_file: Path, path: Path) -> bool:
    """Whether a film's answer may be written there: no file, or the answer that the same film got earlier."""
    try:
        earlier = json.loads(answer_file.read_text())
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return isinstance(earlier, dict) and earlier.get("file", _absolute(path)) == _absolute(path)


def _absolute(path: Path) -> str:
    return str(path.absolute())


def printable(text: str) -> str:
    """Text that any output takes: control characters, and bytes of a file name that are no UTF-8, are escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
