"""The OpenAPI document of the HTTP contract, which both engines keep, and a page that shows it without a script.

`docs/openapi.json` is this document; `python -m osteolens.serving.asgi.openapi` prints it.
"""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from osteolens.films.read import SUPPORTED
from osteolens.options import Options, header_name
from osteolens.rows import DIGEST_HEADER, ErrorAnswer, Refusal
from osteolens.schema import Answer
from osteolens.serving.requests import MAX_FILMS

_COMPONENTS = "#/components/schemas/"
_REFUSALS = {
    400: "An empty body, a damaged picture, a wrong option; or a missing, wrong or expired key.",
    404: "No such model.",
    413: "The request is too large, or the picture would take too long to decode.",
    415: "Not a supported picture; the message names its type.",
    422: "A picture that cannot be a film.",
    500: "The server failed; its log says why.",
    501: "The packages of an explanation other than Grad-CAM are not installed.",
    503: "No room at the moment, or an explanation that is being installed: try again after Retry-After seconds.",
}
_FRONT_END = {
    "type": "object",
    "description": "An error that is not about a film, as TorchServe's front end words it.",
    "properties": {"code": {"type": "integer"}, "type": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "type", "message"],
}


def document(models: Sequence[str] = ()) -> dict[str, Any]:
    """OpenAPI 3.1 of the inference API.

    Args:
        models: Names that are served; none where that is not known.
    """
    _, defined = models_json_schema(
        [(kind, "serialization") for kind in (Answer, Refusal, ErrorAnswer)], ref_template=_REF
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OsteoLens",
            "version": "1",
            "description": "Knee X-rays read for osteoporosis. Research software, not a diagnostic device.",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "paths": {
            "/predictions/{model}": {"post": _predict(models)},
            "/ping": {"get": {"summary": "Whether the server is up.", "responses": {"200": {"description": "It is."}}}},
        },
        "components": {
            "schemas": defined["$defs"] | {"FrontEndError": _FRONT_END},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


_REF = _COMPONENTS + "{model}"


def _predict(models: Sequence[str]) -> dict[str, Any]:
    name: dict[str, Any] = {"type": "string"} | ({"enum": list(models)} if models else {"examples": ["efficientnet"]})
    path = {"name": "model", "in": "path", "required": True, "schema": name}
    return {
        "summary": "Read a film, or several.",
        "operationId": "predict",
        "security": [{"key": []}],
        "parameters": [path, *(_header(option, schema) for option, schema in _options().items())],
        "requestBody": {"required": True, "content": _bodies()},
        "responses": {"200": _answered()} | {str(status): _refused(status) for status in _REFUSALS},
    }


def _options() -> dict[str, Any]:
    """Schema by option. Null is how Python says that an option is not sent."""
    options = TypeAdapter(Options).json_schema()["properties"]
    for schema in options.values():
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        schema.update(kinds[0] if kinds else {})
        schema.pop("title")
        if schema.get("default", "") is None:
            del schema["default"]
    return options  # type: ignore[no-any-return]


def _header(option: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": header_name(option), "in": "header", "required": False, "schema": schema}


def _bodies() -> dict[str, Any]:
    film = {"type": "string", "format": "binary", "description": f"One of {', '.join(SUPPORTED)}."}
    form = {
        "type": "object",
        "required": ["data"],
        "properties": {"data": film} | _options(),
        "patternProperties": {"^data[0-9]+$": film},
        "additionalProperties": False,
        "description": f"A film in data, more in data2, data3 ...; at most {MAX_FILMS}, each name once.",
    }
    return {"application/octet-stream": {"schema": film}, "multipart/form-data": {"schema": form}}


def _answered() -> dict[str, Any]:
    answer, refusal, error = ({"$ref": f"{_COMPONENTS}{kind}"} for kind in ("Answer", "Refusal", "ErrorAnswer"))
    rows = {"type": "array", "items": {"oneOf": [answer, refusal, error]}}
    return {
        "description": "An answer to one film, or why the gate refuses it, or a list with a row for each of several.",
        "headers": {DIGEST_HEADER: {"description": "SHA-256 of the body (RFC 9530).", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {"oneOf": [answer, refusal, rows]}}},
    }


def _refused(status: int) -> dict[str, Any]:
    kinds = [{"$ref": f"{_COMPONENTS}ErrorAnswer"}, {"$ref": f"{_COMPONENTS}FrontEndError"}]
    headers = {"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status == 503 else {}
    return {"description": _REFUSALS[status], "content": {"application/json": {"schema": {"oneOf": kinds}}}} | headers


def page(document: dict[str, Any]) -> str:
    """The document as HTML; nothing in it comes from elsewhere."""
    info, schemas = document["info"], document["components"]["schemas"]
    shown = [
        f"<h3>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=1))}</pre>" for name, schema in schemas.items()
    ]
    sections = [
        _section(f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>{_STYLE}"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} <a href=openapi.json>openapi.json</a></p>"
        f"{''.join(sections)}<h2>Schemas</h2>{''.join(shown)}</html>"
    )


_STYLE = (
    "<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "td{padding-right:1rem;vertical-align:top}pre{background:#8882;padding:.5rem;overflow:auto}</style>"
)


def _section(heading: str, operation: dict[str, Any]) -> str:
    options = [[option["name"], option["in"], _words(option["schema"])] for option in operation.get("parameters", ())]
    statuses = [[status, response["description"]] for status, response in operation["responses"].items()]
    summary = escape(operation["summary"])
    return f"<h2>{escape(heading)}</h2><p>{summary}</p>{_table(options)}<h3>Statuses</h3>{_table(statuses)}"


def _table(rows: list[list[str]]) -> str:
    return f"<table>{''.join('<tr>' + ''.join(f'<td>{escape(cell)}' for cell in row) for row in rows)}</table>"


def _words(schema: dict[str, Any]) -> str:
    """A parameter's type, choices and limits."""
    kind = ", ".join(schema.get("enum", ())) or schema["type"]
    limits = [f"{word} {schema[name]:g}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in schema]
    return "; ".join(filter(None, [kind, " ".join(limits), schema.get("description", "")]))


if __name__ == "__main__":
    print(json.dumps(document(), indent=1, ensure_ascii=False))
