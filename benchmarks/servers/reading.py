"""The work of every server but the plain TorchServe: a film's bytes to JSON, by `osteolens.inference.reader`.

Which graph answers comes from the environment: OSTEOLENS_BENCH_FOLDER (an archive's content) and
OSTEOLENS_BENCH_BACKEND (one of `osteolens.inference.runtimes.BACKENDS`).
"""

import os
from pathlib import Path

import cv2

from osteolens.card import load_card
from osteolens.errors import InputError
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import load_runtime
from osteolens.rows import ErrorAnswer, dump


def open_reader(threads: int = 1) -> Reader:
    """A reader that has answered a first film.

    Args:
        threads: Computing threads of the ONNX session.
    """
    cv2.setNumThreads(1)
    folder = Path(os.environ["OSTEOLENS_BENCH_FOLDER"])
    runtime = load_runtime(folder, load_card(folder), os.environ["OSTEOLENS_BENCH_BACKEND"], threads)
    reader = Reader(folder, runtime)
    reader.warm_up()
    return reader


def answer(reader: Reader, film: bytes) -> bytes:
    """JSON of the answer, heat map included, or of the error."""
    try:
        return dump(reader.answer(Request(film, {}, "film")))
    except InputError as error:
        return dump(ErrorAnswer.of(error))
