"""Collects the web app's texts for translation, brings the catalogues up to date and compiles them.

    python scripts/messages.py

Catalogues are web/locale/LANGUAGE/LC_MESSAGES/{django,djangojs}.po. A text that is new there has an empty translation,
one that is no longer used is dropped. The compiled .mo beside each is committed, so that the app starts without a step.
"""

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

WEB = Path(__file__).parents[1] / "web"
LANGUAGES = ("de",)
DOMAINS = {"django": {".py", ".html", ".js", ".webmanifest"}, "djangojs": {".js"}}
_KEYWORDS = {
    "gettext": None, "gettext_lazy": None, "gettext_noop": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2), "_": None,
}  # fmt: skip


def template(domain: str) -> Catalog:
    """All texts of a domain in English, with the files that they are in."""
    catalog = Catalog(domain=domain, charset="utf-8", fuzzy=False)
    for path in _sources(domain):
        name = str(path.relative_to(WEB))
        for line, text, comments, context in _texts(path):
            flags = _flags(text if isinstance(text, str) else text[0])
            catalog.add(text, None, [(name, line)], flags, auto_comments=comments, context=context)
    return catalog


def catalogue_file(language: str, domain: str) -> Path:
    """The file of translations."""
    return WEB / "locale" / language / "LC_MESSAGES" / f"{domain}.po"


def read(language: str, domain: str) -> Catalog:
    """The committed translations; empty where there are none yet."""
    path = catalogue_file(language, domain)
    if not path.exists():
        about = dict.fromkeys(("last_translator", "language_team", "msgid_bugs_address"), "OsteoLens")
        return Catalog(language, domain, f"# Texts of the web app: {language}.", "OsteoLens", "1", fuzzy=False, **about)
    with path.open("rb") as file:
        return read_po(file, language, domain)


def compiled(catalog: Catalog) -> bytes:
    """The catalogue as gettext reads it."""
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def update(language: str, domain: str) -> list[str]:
    """Write the catalogue with today's texts; those that lack a translation."""
    catalog = read(language, domain)
    catalog.update(template(domain), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    path = catalogue_file(language, domain)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=120, sort_output=True, omit_header=False, include_lineno=False)
    path.with_suffix(".mo").write_bytes(compiled(catalog))
    return [str(message.id) for message in catalog if message.id and not is_translated(message)]


def is_translated(message: Message) -> bool:
    """Whether every form of a text has a translation."""
    return all(message.string) if isinstance(message.string, (tuple, list)) else bool(message.string)


def _sources(domain: str) -> Iterator[Path]:
    for path in sorted(WEB.rglob("*")):
        within = path.relative_to(WEB).parts
        # A script of the browser's is in `static`; one that Django fills in is a template.
        if {"node_modules", "locale", "__pycache__"} & set(within) or path.suffix not in DOMAINS[domain]:
            continue
        if path.suffix != ".js" or (within[0] == "static") == (domain == "djangojs"):
            yield path


def _texts(path: Path) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    source, method = path.read_text(), "javascript" if "static" in path.parts else "python"
    if path.suffix != ".py" and method == "python":
        # What is left of a template's markup is letters, which the tokenizer takes as long as nothing is indented.
        source = "\n".join(line.strip() for line in templatize(source).splitlines())
    yield from extract(method, io.BytesIO(source.encode()), keywords=_KEYWORDS, comment_tags=["Translators:"])


def _flags(text: str) -> set[str]:
    return {"python-format"} if "%(" in text else set()


def main() -> None:
    """Update all catalogues, and name what lacks a translation."""
    settings.configure()
    for language in LANGUAGES:
        for domain in DOMAINS:
            for text in update(language, domain):
                print(f"{language} {domain}: no translation of {text!r}")


if __name__ == "__main__":
    main()
