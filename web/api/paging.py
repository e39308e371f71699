"""Pages of lists, and the check that every filter is known."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from ninja import Field, Schema
from project.request import Request

from osteolens.errors import InvalidOption

MOST_PER_PAGE = 200


class Page(Schema):
    """Which part of a list."""

    page: int = Field(1, ge=1)
    page_size: int = Field(50, ge=1, le=MOST_PER_PAGE)


def check_names(request: Request, filters: type[Page]) -> None:
    """Refuse filters that do not exist: a misspelt one would be taken for all films.

    Raises:
        InvalidOption: The request has one.
    """
    names = [field.alias or name for name, field in filters.model_fields.items()]
    if unknown := sorted(request.GET.keys() - set(names)):
        raise InvalidOption(f"unknown filter {unknown[0]!r}", f"filters are {', '.join(names)}")


def page_of(rows: QuerySet[Any], page: Page) -> dict[str, Any]:
    """A page of rows with their number; a page beyond the last one is empty, so that clients come to an end."""
    pages = Paginator(rows, page.page_size)
    shown = pages.page(page.page).object_list if page.page <= pages.num_pages else []
    return {"count": pages.count, "page": page.page, "pages": pages.num_pages, "rows": shown}
