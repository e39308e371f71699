"""The options of a request, from headers or form parts as texts."""

import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from osteolens.errors import InvalidOption

Method = Literal[
    "none", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "gradcamelementwise",
    "finercam", "eigencam", "eigengradcam", "kpcacam", "fem", "ablationcam", "scorecam",
]  # fmt: skip
"""Explanations that a request may choose; all but `none` are methods of the grad-cam package."""

PERTURBING: frozenset[Method] = frozenset({"scorecam"})
"""Methods that change the film itself and so run the whole model, once per channel: a minute, not a moment."""

ALL_TARGETS = "all"
HEADER_PREFIX = "X-OsteoLens-"


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


class Options(BaseModel):
    """The options of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    explain: Annotated[Method, BeforeValidator(_lower)] = "gradcam"
    target: str | None = Field(
        None, description="a label, or `all` for a map of every class; default: the predicted label"
    )
    age: float | None = Field(None, ge=0, le=120, description="years")
    sex: Annotated[Literal["female", "male"], BeforeValidator(_lower)] | None = None
    weight_kg: float | None = Field(None, ge=2, le=400)
    height_m: float | None = Field(None, ge=0.3, le=2.5)
    force: bool = Field(False, description="answer a picture that the gate refuses, too")


OPTION_NAMES = tuple(Options.model_fields)
_EXAMPLES = {
    "explain": "gradcam", "target": "osteoporosis", "age": "63", "sex": "female", "weight_kg": "71.5",
    "height_m": "1.62", "force": "true",
}  # fmt: skip


def header_name(option: str) -> str:
    """The request header of an option: `weight_kg` is sent as `X-OsteoLens-Weight-Kg`."""
    return HEADER_PREFIX + "-".join(part.capitalize() for part in option.split("_"))


def parse_options(values: Mapping[str, str], labels: tuple[str, ...]) -> Options:
    """Check the options of a request.

    Args:
        values: Option name to text, as sent; empty texts count as not sent.
        labels: The model's labels, which `target` may name.

    Raises:
        InvalidOption: Names the option, what was found, and a valid value.
    """
    try:
        options = Options.model_validate({name: text for name, text in values.items() if text.strip()})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise InvalidOption(f"unknown option {name!r}", f"options are {', '.join(OPTION_NAMES)}") from None
        raise InvalidOption(
            f"option {name} is {values[name][:80]!r}: {first['msg']}", f"for example {name}={_EXAMPLES[name]}"
        ) from None
    if options.target is None:
        return options
    target = _target(options.target, (*labels, ALL_TARGETS))
    if target is None:
        raise InvalidOption(
            f"option target is {options.target[:80]!r}, which is not a label of this model",
            f"one of {', '.join((*labels, ALL_TARGETS))}",
        )
    return options.model_copy(update={"target": target})


def _target(text: str, targets: tuple[str, ...]) -> str | None:
    """Target that a text names, in any case.

    Headers hold only ASCII, so it may be percent-encoded; UTF-8 in a header arrives decoded as Latin-1.
    """
    names = {_plain(target): target for target in targets} | {target: target for target in targets}
    spellings = [text, _plain(text), _plain(unquote(text))]
    with suppress(UnicodeError):
        spellings.append(_plain(text.encode("latin-1").decode("utf-8")))
    return next((names[spelling] for spelling in spellings if spelling in names), None)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()
