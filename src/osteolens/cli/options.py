"""Options that several commands take, so that one thing has one name, one letter and one meaning everywhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from osteolens.options import Method

if TYPE_CHECKING:
    from osteolens.training.config import Configuration


def data(what: str) -> Any:
    """`--data`: the films and what is known of them."""
    return typer.Option("--data", "-d", help=what)


def out(what: str) -> Any:
    """`--out`: where results go."""
    return typer.Option("--out", "-o", help=what)


def model(what: str) -> Any:
    """`--model`: a model that is not what the command works on."""
    return typer.Option("--model", "-m", help=what)


def model_argument(what: str = "A name in weights/, or a model folder such as runs/mine/model.") -> Any:
    """The model that a command works on."""
    return typer.Argument(metavar="MODEL", help=what)


def labelled_films(note: str = "") -> Any:
    """The labelled films that a command works on."""
    return typer.Argument(
        metavar="TABLE",
        help="Films with their labels: a table (CSV, Excel, Parquet) with the columns file (relative to the table) and "
        "label, and optionally group (patient), t_score, age, sex, weight_kg, height_m, source and format_family; or a "
        f"folder that holds one folder of films per class.{note}",
    )


Skip = Annotated[str, typer.Option(help="Column of the table; rows where it is true are left out.")]
TrainedOn = Annotated[
    Path | None,
    typer.Option(
        help="The data set that the model was trained on: its films are looked for among yours, cut-out parts too. "
        "Without it, copies of whole films are found by the list beside the weights."
    ),
]
LeaveOut = Annotated[
    bool,
    typer.Option("--leave-out", help="Leave films that the model has learned from out, with their groups, and go on."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Server = Annotated[
    str | None,
    typer.Option(
        "--server", "-s", envvar="OSTEOLENS_URL", help="Address of a running server; default: http://127.0.0.1:8080."
    ),
]
# Without `envvar`: the client itself reads OSTEOLENS_KEY_FILE, after OSTEOLENS_KEY, and a value from here would win.
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        "-k",
        help="TorchServe's key file; default: that in $OSTEOLENS_KEY_FILE, else ./key_file.json. $OSTEOLENS_KEY is a "
        "key itself.",
    ),
]
Explain = Annotated[str, typer.Option("--explain", "-e", help=", ".join(get_args(Method)))]
Target = Annotated[
    str | None, typer.Option("--target", "-t", help="Label to explain, or `all`; default: the predicted one.")
]
Age = Annotated[str | None, typer.Option(help="Years.")]
Sex = Annotated[str | None, typer.Option(help="female or male.")]
Weight = Annotated[str | None, typer.Option(help="Kilograms.")]
Height = Annotated[str | None, typer.Option(help="Metres.")]
Force = Annotated[bool, typer.Option("--force", help="Answer pictures that the gate refuses, too.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings, such as train/configs/efficientnet.toml. Default: each setting's own default."
    ),
]
Films = Annotated[
    Path,
    data(
        "A table (CSV, Excel, Parquet) with the columns file (relative to the table) and label, and optionally group "
        "(patient), t_score, age, sex, weight_kg, height_m, source and format_family; or a folder that holds one "
        "folder of films per class."
    ),
]
FilmsOfRun = Annotated[Path, data("The table or folder of films that the run was made from.")]
Run = Annotated[Path, out("The run's folder. A run that was stopped there goes on exactly; another is refused.")]
Name = Annotated[
    str | None, typer.Option(help="The name under which the model will be served; default: that of --out.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Delete the run in --out, and train again.")]
Members = Annotated[
    Path | None,
    typer.Option(help="An ensemble of the folds' models, in order, where RUN holds none, such as weights/knee."),
]


def facts_and_explanation(
    explain: str,
    target: str | None,
    age: str | None = None,
    sex: str | None = None,
    weight_kg: str | None = None,
    height_m: str | None = None,
    *,
    force: bool = False,
) -> dict[str, str]:
    """What a request says beside the film: option texts by name, without those that were not stated."""
    texts = {
        "explain": explain, "target": target, "age": age, "sex": sex, "weight_kg": weight_kg, "height_m": height_m,
        "force": "true" if force else None,
    }  # fmt: skip
    return {name: text for name, text in texts.items() if text is not None}


def configuration(path: Path | None, films: Path) -> "Configuration":
    """The settings of a training: a file's, or each setting's default with the data set named after its table."""
    from osteolens.training.config import Configuration, DatasetSection, load_configuration

    return load_configuration(path) if path else Configuration(dataset=DatasetSection(name=films.resolve().stem))


@contextmanager
def json_instead(wanted: bool, path: Path) -> Iterator[None]:
    """Where JSON is wanted, send what is meant for people to standard error, and print a JSON file at the end."""
    if not wanted:
        yield
        return
    # rich looks for the standard output whenever it prints: this catches its tables as well as plain prints.
    with redirect_stdout(sys.stderr):
        yield
    typer.echo(path.read_text(encoding="utf-8").rstrip())
