"""`osteolens predict`: ask about files one by one, show a table, write answers and overlays."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from osteolens import image, overlay
from osteolens.card import load_card
from osteolens.client import Client, read_key
from osteolens.errors import ClientError, InputError, OsteoLensError, RequestRefused, ServerUnreachable
from osteolens.schema import Answer, Fused, TScore

Ask = Callable[[Path, Mapping[str, str]], Answer]
Outcome = Answer | OsteoLensError | OSError

_COLUMNS = ("film", "answer", "probabilities", "T-score", "triage", "remarks")
_FACT_NAMES = {"age": "age", "sex": "sex", "weight_kg": "weight", "height_m": "height"}
ALL_ANSWERED, SOME_FAILED, UNREACHABLE = 0, 3, 4


def server_asker(url: str | None, key_file: Path | None, model: str) -> Ask:
    """A function that asks a running server."""
    key = None
    if key_file is not None:
        key = read_key(key_file)
        if key is None:
            raise ClientError(f"there is no key file {key_file}: TorchServe writes key_file.json where it starts")
    client = Client(url, key)
    return lambda path, options: client.predict(path.read_bytes(), model=model, options=options)


def local_asker(folder: Path) -> Ask:
    """A function that runs the model of a folder in this process."""
    load_card(folder)  # a wrong folder is told at once, not after torch is there
    from osteolens.reader import Reader, Request  # brings torch, which asking a server does not need

    reader = Reader(folder, slow_methods=True)

    def ask(path: Path, options: Mapping[str, str]) -> Answer:
        outcome = reader.answer([Request(path.read_bytes(), options, path.name)])[0]
        if isinstance(outcome, InputError):
            raise outcome
        return outcome

    return ask


def predict(
    files: Sequence[Path], ask: Ask, options: Mapping[str, str], out: Path, *, opacity: float, json_output: bool
) -> int:
    """Ask about every file, report, and return the exit status.

    Args:
        files: Films.
        ask: From `server_asker` or `local_asker`.
        options: Option texts by name.
        out: Folder for `<film>.json` and `<film>.<class>.png`; made when the first answer is there.
        opacity: Of the overlays, 0 to 1.
        json_output: Print JSON instead of a table.
    """
    outcomes: list[tuple[Path, Outcome]] = []
    names = _distinct_names(files)
    progress = Console(stderr=True)
    for path, name in track(
        list(zip(files, names, strict=True)), "asking", console=progress, disable=not progress.is_terminal
    ):
        try:
            answer = ask(path, options)
            _write(path, name, answer, out, opacity)
            outcomes.append((path, answer))
        except ServerUnreachable as error:
            progress.print(f"error: {error}", style="red", soft_wrap=True, highlight=False)
            _report(outcomes, json_output)
            return UNREACHABLE
        except (OsteoLensError, OSError) as error:
            outcomes.append((path, error))
    _report(outcomes, json_output)
    return ALL_ANSWERED if all(isinstance(outcome, Answer) for _, outcome in outcomes) else SOME_FAILED


def _write(path: Path, name: str, answer: Answer, out: Path, opacity: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(answer.model_dump_json(by_alias=True, indent=2) + "\n")
    if answer.explanations:
        film = image.read(path).pixels
        for explanation in answer.explanations:
            title, levels = overlay.describe(explanation, answer.label), overlay.decode_map(explanation.map_png)
            drawn = overlay.blend(film, levels, title, opacity, strength=explanation.strength)
            drawn.save(out / f"{name}.{explanation.target}.png")


def _report(outcomes: list[tuple[Path, Outcome]], json_output: bool) -> None:
    if json_output:
        print(json.dumps([{"file": str(path), **_as_json(outcome)} for path, outcome in outcomes], indent=2))
        return
    if not outcomes:
        return
    rows = [row for path, outcome in outcomes for row in _rows(path.name, outcome)]
    filled = [column for column in range(len(_COLUMNS)) if any(row[column] for row in rows)]
    table = Table(*(_COLUMNS[column] for column in filled), caption=_caption([outcome for _, outcome in outcomes]))
    for row in rows:
        table.add_row(*(Text(row[column]) for column in filled))
    Console().print(table)


def _rows(name: str, outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """A film's row of the table, and another for the answer with the patient's facts."""
    if not isinstance(outcome, Answer):
        yield name, "error", "", "", "", str(outcome)
        return
    yield name, *_cells(outcome), "; ".join(outcome.quality.warnings)
    if outcome.fused:
        facts = ", ".join(_FACT_NAMES[fact] for fact in outcome.fused.inputs)
        yield f"  with {facts}", *_cells(outcome.fused), ""


def _cells(said: Answer | Fused) -> tuple[str, str, str, str]:
    shares = ", ".join(f"{label} {share:.2f}" for label, share in said.probabilities.items())
    return said.label, shares, _t_score(said.t_score), said.triage or ""


def _t_score(said: TScore | None) -> str:
    if said is None:
        return ""
    interval = f" ({said.interval_90[0]:+.1f} to {said.interval_90[1]:+.1f})" if said.interval_90 else ""
    return f"{said.estimate:+.1f}{interval}"


def _caption(outcomes: Sequence[Outcome]) -> str:
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    notes = ["Research software, not a diagnostic device."]
    if any(answer.t_score and answer.t_score.interval_90 for answer in answers):
        notes.append("T-scores with 90 % intervals.")
    if any(answer.triage or answer.fused for answer in answers):
        notes.append("Low suspicion rules nothing out.")
    return " ".join(notes)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Answer):
        return {"answer": outcome.model_dump(mode="json", by_alias=True)}
    code = outcome.code if isinstance(outcome, InputError | RequestRefused) else type(outcome).__name__
    return {"error": {"code": code, "message": str(outcome)}}


def _distinct_names(files: Sequence[Path]) -> Iterator[str]:
    """File stems, numbered where several files share one."""
    seen: dict[str, int] = {}
    for path in files:
        count = seen[path.stem] = seen.get(path.stem, 0) + 1
        yield path.stem if count == 1 else f"{path.stem}-{count}"
