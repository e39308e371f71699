"""`osteolens dicom`: the answers of DICOM films as DICOM objects."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osteolens.cli import options
from osteolens.cli.predict import local_asker, server_asker
from osteolens.console import Status, model_folder, one_line_errors, packages_of
from osteolens.errors import OsteoLensError, ServerUnreachable, in_words

if TYPE_CHECKING:
    from osteolens.cli.answers import Ask


@one_line_errors
def dicom(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Films: DICOM, as the archive keeps them.")],
    model: Annotated[
        str, options.model("Name of a served model; with --local a name in weights/ or a model folder.")
    ] = "efficientnet",
    out: Annotated[Path, options.out("Folder for the objects.")] = Path("answers"),
    local: Annotated[bool, typer.Option("--local", "-l", help="Run the model here, without a server.")] = False,
    server: options.Server = None,
    key_file: options.KeyFile = None,
    explain: options.Explain = "gradcam",
    target: options.Target = None,
    age: options.Age = None,
    sex: options.Sex = None,
    weight_kg: options.Weight = None,
    height_m: options.Height = None,
    force: options.Force = False,
    json_output: options.Json = False,
) -> None:
    """Answer DICOM films; write the film with its heat map, the map, the report and a page as DICOM objects.

    They belong to the film's patient and study, and get the same identifiers each time. Not for diagnosis.

    Exit status: 0 all answered, 2 wrong usage, 3 some films failed, 4 no server at the address.
    """
    texts = options.facts_and_explanation(explain, target, age, sex, weight_kg, height_m, force=force)
    with packages_of("dicom", "making DICOM objects"):
        import osteolens.dicomweb.answering  # noqa: F401 - highdicom is missing: say so before any film is sent
    ask = local_asker(model_folder(model)) if local else server_asker(server, key_file, model)
    raise typer.Exit(_answer_all(files, ask, texts, out, json_output))


def _answer_all(files: list[Path], ask: "Ask", texts: dict[str, str], out: Path, json_output: bool) -> int:
    status = Status.DONE
    rows: list[dict[str, Any]] = []
    for path in files:
        try:
            written = _answer(path, ask, texts, out)
        except ServerUnreachable as error:
            print(f"error: {error}", file=sys.stderr)
            status = Status.UNREACHABLE
            break
        except (OsteoLensError, OSError) as error:
            print(f"error: {path}: {in_words(error)}", file=sys.stderr)
            rows.append({"file": str(path), "error": in_words(error)})
            status = Status.SOME_FAILED
            continue
        rows.append({"file": str(path), "objects": {kind: [str(name) for name in written[kind]] for kind in written}})
        if not json_output:
            print(f"{path}: {', '.join(str(name) for names in written.values() for name in names)}")
    if json_output:
        print(json.dumps(rows, indent=2))
    return status


def _answer(path: Path, ask: "Ask", texts: dict[str, str], out: Path) -> dict[str, list[Path]]:
    """Write the objects of a film, and return their files by kind.

    A file's name ends in the last digits of the object's identifier: another film of the same name gets other files,
    the same film the same ones.
    """
    from osteolens.dicomweb.answering import objects_for
    from osteolens.dicomweb.objects import encode, kind_of
    from osteolens.files import write_bytes

    made = objects_for(path.read_bytes(), lambda _: ask(path, texts))
    out.mkdir(parents=True, exist_ok=True)
    written: dict[str, list[Path]] = {}
    for one in made:
        file = out / f"{path.stem}.{kind_of(one)}.{str(one.SOPInstanceUID)[-8:]}.dcm"
        write_bytes(file, encode(one))
        written.setdefault(kind_of(one), []).append(file)
    return written
