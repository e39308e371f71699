"""Looks an installation over: what is there, what is in order, and how to put right what is not. Changes nothing."""

from collections.abc import Iterator
from pathlib import Path

from osteolens.console import MODEL_STORE, WEIGHTS
from osteolens.doctor import machine, server
from osteolens.doctor.check import Check
from osteolens.doctor.server import CONFIG


def examine(store: Path = MODEL_STORE, weights: Path = WEIGHTS, config: Path = CONFIG) -> Iterator[Check]:
    """Check one place after the other.

    Args:
        store: Folder of the archives.
        weights: Folder of the models that they are built from.
        config: TorchServe's configuration.
    """
    yield machine.check_python()
    yield machine.check_processor()
    yield machine.check_disk()
    yield from machine.check_extras()
    yield from machine.check_backends()
    yield machine.check_java()
    yield server.check_key()
    yield from server.check_ports(config)
    yield from server.check_archives(store, weights)
    yield server.check_app()
    yield from server.check_variables()
