"""Drawn regions as COCO JSON (https://cocodataset.org/#format-data)."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from films import storage
from films.models import Film

from reviews import regions
from reviews.models import Review, region_file
from reviews.regions import Mask

CATEGORY = {"id": 1, "name": "region that matters", "supercategory": "review"}


def coco(reviews: Iterable[Review], description: str) -> dict[str, Any]:
    """One image per film, one annotation per region; pixels are those of the film as it is shown.

    `file_name` is the film's name in the training table's archive. The regions are uncompressed run-length masks, which
    hold holes and several parts exactly; COCO keeps these for annotations with `iscrowd` 1.

    Args:
        reviews: Reviews with their films; those without a region are left out.
        description: Text about the data set.
    """
    images: dict[object, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for review in reviews:
        mask = _mask(review)
        if mask is None:
            continue
        film = review.film
        image = {"id": len(images) + 1, "file_name": file_name(film), "width": film.width, "height": film.height}
        image_id = images.setdefault(film.id, image)["id"]
        facts = {
            "reviewer": review.reviewer.username,
            "blind": review.blind,
            "label": review.label_said,
            "map_rating": review.map_rating,
        }
        annotations.append(annotation(len(annotations) + 1, image_id, mask) | {"attributes": facts})
    return {
        "info": {"description": description, "version": "1"},
        "licenses": [],
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [CATEGORY],
    }


def annotation(number: int, image: int, mask: Mask) -> dict[str, Any]:
    """One region.

    Args:
        number: The annotation's id.
        image: The image's id.
        mask: bool [H, W], the image's size, at least one pixel is in it.

    Returns:
        With `area` in pixels and `bbox` as left, top, width, height, the smallest that holds all pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORY["id"],
        "iscrowd": 1,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "area": int(mask.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
    }


def run_lengths(mask: Mask) -> list[int]:
    """Lengths of the runs of pixels outside and inside by turns, column by column; the first run is outside."""
    # COCO counts down the columns.
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs: list[int] = np.diff(np.concatenate([[0], changes, [pixels.size]])).tolist()
    return [0, *runs] if pixels[0] else runs


def file_name(film: Film) -> str:
    """Name of a film's picture in the training table and its archive."""
    return f"films/{film.id}.png"


def _mask(review: Review) -> Mask | None:
    if review.region is None:
        return None
    try:
        mask = regions.from_png(storage.read(region_file(review.film_id, review.region)))
    except storage.Gone:
        return None  # the film is being deleted, or the region replaced, at this moment
    sized = regions.at_size(mask, review.film.width, review.film.height)
    return sized if sized.any() else None
