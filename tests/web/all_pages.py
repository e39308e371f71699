"""Every page of the app by the name of its address, for checks that hold for all of them.

A new address is added to `PAGES`, or to `NO_PAGES` where it has no page of its own; a test compares both with the
app's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

PAGES: dict[str, tuple[str, ...]] = {
    "uploads:upload": (), "films:history": (), "films:worklist": (), "films:compare": (),
    "films:film": ("film_id",), "films:patient": ("patient_id",), "reviews:summary": (), "reviews:review": ("film_id",),
    "accounts:login": (), "accounts:own": (), "accounts:password": (), "accounts:second_factor": (), "staff": (),
    "account": ("user_id",), "add_account": (), "audit": (), "help": (), "offline": (),
}  # fmt: skip
"""Name of an address to the arguments that it takes."""
NO_PAGES = {
    "uploads:upload_file", "uploads:session", "films:export_csv", "films:history_state", "films:matching",
    "films:selected", "films:edit_selected", "films:undo", "films:worklist_selected", "films:unshare",
    "films:share_patient", "films:mark", "films:assign", "films:share", "films:rename_patient", "films:state",
    "films:edit", "films:facts", "films:reread", "films:delete", "films:picture", "films:thumb", "films:map",
    "films:overlay", "films:answer", "films:report", "films:dicom", "films:archive", "films:original", "films:values",
    "accounts:logout", "accounts:code", "accounts:sign_on", "accounts:signed_on", "accounts:connect",
    "accounts:disconnect", "accounts:change_second_factor", "accounts:end_sessions", "accounts:add_token",
    "accounts:revoke_token", "change_account", "audit_csv",
    "reviews:next", "reviews:export_csv", "reviews:coco", "reviews:training", "reviews:reveal",
    "reviews:picture", "reviews:values", "reviews:thumb", "reviews:map", "reviews:region", "language", "texts",
    "manifest", "service_worker",
}  # fmt: skip
"""Files, actions, and answers to scripts and programs."""
QUERIES = {"films:compare": "?films={film_id}&films={film_id}", "films:history": "?sort=patient"}


def addresses(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Name and address of every page.

    Args:
        values: Arguments by name: `film_id`, `patient_id` and so on.
    """
    for name, arguments in PAGES.items():
        address = reverse(name, kwargs={argument: values[argument] for argument in arguments})
        yield name, address + QUERIES.get(name, "").format(**values)


def names(resolver: Any = None, space: str = "") -> Iterator[str]:
    """Names of all addresses but those of the API."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLPattern):
            yield f"{space}{pattern.name}"
        elif isinstance(pattern, URLResolver) and not (pattern.namespace or "").startswith("api"):
            yield from names(pattern, f"{pattern.namespace}:" if pattern.namespace else space)
