"""A model as the repository keeps it, and an engine whose actors live in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ray import MODEL, local_answers

from osteolens.batch.answerers.ray import engine


@pytest.fixture(scope="session")
def models(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights/efficientnet and build/efficientnet."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, target in (("weights", model_folder), ("build", exports)):
        (folder / name).mkdir()
        (folder / name / MODEL).symlink_to(target)
    return folder


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine without Ray: everything but the spreading itself."""

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    monkeypatch.setattr(engine, "ray_session", nothing)
    monkeypatch.setattr(engine, "answered", local_answers)
