"""The APIs of the server process: what is served, renewed keys, and metrics."""

from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from osteolens.serving.asgi.app import application, plain_error, unknown_model, wrong_key
from osteolens.serving.asgi.archives import Model
from osteolens.serving.asgi.keys import API, INFERENCE, MANAGEMENT, Keys
from osteolens.serving.asgi.metrics import CONTENT_TYPE, Metrics
from osteolens.serving.asgi.workers import Worker, Workers


class Management:
    """Says what is loaded and renews keys; nothing is registered or deleted while the server runs.

    Args:
        models: What every worker holds.
        workers: All of them.
        keys: Who may ask.
    """

    def __init__(self, models: list[Model], workers: Workers, keys: Keys) -> None:
        self._models = {model.name: model for model in models}
        self._workers, self._keys = workers, keys

    def app(self) -> Starlette:
        """All paths."""
        return application(
            Route("/models", self.models), Route("/models/{model}", self.model), Route("/token", self.token)
        )

    async def models(self, request: Request) -> Response:
        """The list of models."""
        if not self._allowed(request, MANAGEMENT):
            return wrong_key()
        models = [{"modelName": model.name, "modelUrl": model.archive} for model in self._models.values()]
        return JSONResponse({"models": models})

    async def model(self, request: Request) -> Response:
        """A model and its workers."""
        if not self._allowed(request, MANAGEMENT):
            return wrong_key()
        model = self._models.get(request.path_params["model"])
        if model is None:
            return unknown_model(request.path_params["model"])
        workers = [_described(number, worker) for number, worker in enumerate(self._workers.all)]
        described = {
            "modelName": model.name, "modelVersion": model.version, "modelUrl": model.archive, "runtime": "python",
            "minWorkers": len(workers), "maxWorkers": len(workers), "batchSize": 1, "maxBatchDelay": 0,
            "responseTimeout": model.response_timeout, "startupTimeout": model.startup_timeout,
            "loadedAtStartup": True, "workers": workers,
        }  # fmt: skip
        return JSONResponse([described])

    async def token(self, request: Request) -> Response:
        """Another key in the key file."""
        if not self._allowed(request, API):
            return wrong_key()
        kind = request.query_params.get("type", "")
        if kind not in (INFERENCE, MANAGEMENT):
            return plain_error(400, "InvalidKeyException", "type is neither management nor inference")
        self._keys.renew(kind)
        await self._workers.ask("key", self._keys.inference)
        return JSONResponse({"status": f"{kind} key has been renewed: see the key file"})

    def _allowed(self, request: Request, kind: str) -> bool:
        return self._keys.allow(kind, request.headers.get("authorization", ""))


def metrics_app(make: Metrics, workers: Workers) -> Starlette:
    """What Prometheus reads; like TorchServe's it asks for no key and must stay on loopback."""

    async def text(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
        total = make.empty()
        for state in await workers.metrics():
            total.merge(state)
        for number, worker in enumerate(workers.all):
            total.set("WorkerLoadTime", worker.load_seconds * 1000, f"worker-{number}", "Host")
        return Response(total.text(), media_type=CONTENT_TYPE)

    return application(Route("/metrics", text))


def _described(number: int, worker: Worker) -> dict[str, object]:
    return {
        "id": str(9000 + number), "startTime": _time(worker.started), "status": "READY" if worker.ready else "UNLOADED",
        "pid": worker.pid, "gpu": False,
    }  # fmt: skip


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
