"""The TorchServe handler: films and options in, answers with heat maps out.

It unpacks, reads and packs; what a request means is in `osteolens.serving.requests`, how a film is read in
`osteolens.inference.reader`. TorchServe wants exactly one class in this file, and exactly one body per row, in order.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Any

from osteolens.inference.reader import Reader, Request
from osteolens.serving.metrics import check_metrics, count
from osteolens.serving.requests import Result, mark_repeated_parts, refusal, respond, unpack
from osteolens.serving.worker import Turn, check_package, load_reader


class KneeXray:
    """What TorchServe calls: `initialize` once per worker, `handle` once per batch."""

    reader: Reader
    turn: Turn = nullcontext

    def initialize(self, context: Any) -> None:
        """Load the archive's model and answer a first film, so that a worker reported ready is warm.

        Raises:
            ServerError: `osteolens` was not imported from the archive, or the metrics are not handlers/metrics.yaml.
            CardError, ExportError: Card, weights and exported file do not belong together.
        """
        folder = Path(context.system_properties["model_dir"])
        check_package(folder)
        check_metrics(context.metrics)
        mark_repeated_parts()
        self.reader, self.turn = load_reader(folder, context.model_yaml_config["handler"])

    def handle(self, rows: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch: one JSON body per row, in order, with the row's own status."""
        with self.turn():
            results = [self._answer(row, index, context) for index, row in enumerate(rows)]
        for films in results:
            for _, answer in films:
                count(answer, context)
        return [respond(films, index, context) for index, films in enumerate(results)]

    def _answer(self, row: Mapping[str, Any], index: int, context: Any) -> list[Result]:
        """The result of each film of one request, or a single refusal of the request."""
        try:
            films = unpack(row, context.get_all_request_header(index), context.get_request_id(index))
        except Exception as error:  # noqa: BLE001 - `refusal` logs what is not an InputError
            return [refusal(error)]
        return [self._read(film) for film in films]

    def _read(self, film: Request) -> Result:
        """The answer to one film; an error is that film's alone."""
        try:
            return HTTPStatus.OK, self.reader.answer(film)
        except Exception as error:  # noqa: BLE001 - `refusal` logs what is not an InputError
            return refusal(error)
