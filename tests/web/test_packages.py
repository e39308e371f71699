"""Which package of the app may know which, and under which label databases know the films."""

import ast
from pathlib import Path

import pytest
from django.apps import apps
from films.models import Film, Reading, Sighting

WEB = Path(__file__).parents[2] / "web"
MAY_IMPORT = {
    "accounts": {"project", "films"},
    "films": {"project", "accounts"},
    "uploads": {"project", "accounts", "films"},
    "reviews": {"project", "accounts", "films"},
    "api": {"project", "accounts", "films", "uploads"},
}


def imported(path: Path) -> set[str]:
    """The packages that a file's `from` lines name."""
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.module.split(".")[0] for node in tree if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    others = {*MAY_IMPORT, "project"} - MAY_IMPORT[package] - {package}
    paths = list((WEB / package).rglob("*.py"))
    assert paths
    assert [(str(path), name) for path in paths for name in imported(path) & others] == []


def test_databases_know_the_films_by_their_first_label() -> None:
    """A new label would give every database new, empty tables."""
    assert apps.get_app_config("xrays").name == "films"
    tables = [model._meta.db_table for model in (Film, Reading, Sighting)]
    assert tables == ["xrays_film", "xrays_reading", "xrays_sighting"]
