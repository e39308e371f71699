"""The TorchServe handler: films and options in, answers with heat maps out.

It unpacks, reads and packs; what a request means is in `osteolens.serving.requests`, how a film is read in
`osteolens.inference.reader`. TorchServe wants exactly one class in this file, and exactly one body per row, in order.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from osteolens.inference.reader import Reader
from osteolens.serving.metrics import check_metrics, count
from osteolens.serving.requests import answer, mark_repeated_parts, respond
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
            results = [
                answer(self.reader, row, context.get_all_request_header(index), context.get_request_id(index))
                for index, row in enumerate(rows)
            ]
        for films in results:
            for _, film in films:
                count(film, context)
        return [respond(films, index, context) for index, films in enumerate(results)]
