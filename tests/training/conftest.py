"""Training makes torch deterministic; other tests get it back as it was."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def torch_settings() -> Iterator[None]:
    """A run makes torch deterministic for its process, and a fold sets its threads; other tests get it as it was."""
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(before)
    torch.set_num_threads(threads)
