"""Triton's Python backend: an instance is a process with a reader of its own."""

import os
import site

for path in os.environ["OSTEOLENS_BENCH_PATHS"].split(os.pathsep):
    site.addsitedir(path)  # the backend's own Python knows no virtual environment, and passes PYTHONPATH over

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from reading import answer, open_reader  # noqa: E402


class TritonPythonModel:
    """A film's bytes to JSON, both as uint8 [length]: Triton's text tensors need a length before them."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002 - Triton's signature
        """Load the model."""
        self.reader = open_reader()

    def execute(self, requests: list) -> list:
        """One answer per request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: "pb_utils.InferenceRequest") -> "pb_utils.InferenceResponse":
        # By DLPack both ways: the backend was built for NumPy 1 and misreads what NumPy 2 says of an array's items.
        film = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "film")).tobytes()
        body = np.frombuffer(bytearray(answer(self.reader, film)), np.uint8)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor.from_dlpack("answer", body)])
