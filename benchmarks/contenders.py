"""The servers that are compared, how each is started, and the settings that it was given.

All but the plain TorchServe run the graph that OsteoLens' archive holds and do the same work, from a film's bytes to
the finished JSON (`servers/reading.py`), on two workers of one computing thread. All are on loopback, with quiet logs.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from running import Contestant, HttpServer, InProcess, family, started, wait_for_answer

from osteolens.card import CARD_FILE, WEIGHTS_FILE, file_sha256
from osteolens.errors import BenchmarkError
from osteolens.serving.hosting import server_class
from osteolens.serving.ports import free_ports
from osteolens.serving.torchserve import LOG_CONFIG

ROOT = Path(__file__).resolve().parents[1]
SERVERS = Path(__file__).resolve().parent / "servers"
OURS, PLAIN, CEILING, REFERENCE = "OsteoLens", "plain TorchServe", "no server, 2 processes", "no server, 2 threads"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TRITON_HEAD = 512

PLAIN_CONFIG = """\
inference_address=http://127.0.0.1:8080
management_address=http://127.0.0.1:8081
metrics_address=http://127.0.0.1:8082
grpc_inference_port=7070
grpc_management_port=7071
model_store=.
load_models=all
default_workers_per_model=2
disable_token_authorization=true
disable_system_metrics=true
"""
"""TorchServe's defaults but for the number of workers and for what would disturb the others."""


@dataclass(frozen=True)
class Setup:
    """What the contenders are started with.

    Attributes:
        work: A temporary folder, for logs too; `films/` in it holds the films as files.
        archive: What our archive holds, unpacked.
        backend: What answers in it, one of `osteolens.inference.runtimes.BACKENDS`.
        store: A model store with our archive alone.
        film: A first film.
        python: The interpreter that has `servers/requirements.txt`.
    """

    work: Path
    archive: Path
    backend: str
    store: Path
    film: bytes
    python: Path | None

    def environment(self, **more: str) -> dict[str, str]:
        """This process's, with one computing thread, the graph to serve, and the archive's own copy of OsteoLens.

        glibc keeps freed memory, as OsteoLens' handler asks it to (the page faults cost a quarter of the model's time).
        """
        ours = {"OSTEOLENS_BENCH_FOLDER": str(self.archive), "OSTEOLENS_BENCH_BACKEND": self.backend}
        ours |= {"PYTHONPATH": str(self.archive), "PYTHONDONTWRITEBYTECODE": "1"}
        malloc = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2), "MALLOC_TRIM_THRESHOLD_": str(256 * 1024**2)}
        return dict(os.environ) | dict.fromkeys(THREADS, "1") | malloc | ours | more


def osteolens(setup: Setup, engine: str) -> AbstractContextManager[Contestant]:
    """Ours, as `osteolens serve` starts it."""
    return _served(ROOT / "config.properties", setup.store, "efficientnet", dict.fromkeys(THREADS, "1"), engine)


@contextmanager
def plain(setup: Setup, threads: Mapping[str, str]) -> Iterator[Contestant]:
    """TorchServe with the handler that people write, its archive built here."""
    folder = setup.work / f"plain-{len(threads)}"
    temporary = folder.with_suffix(".tmp")  # not in the folder, which is also the model store
    for path in (folder, temporary):
        path.mkdir()
    command = [
        sys.executable, "-m", "model_archiver.model_packaging", "--model-name", "plain", "--version", "1.0",
        "--handler", SERVERS / "plain_torchserve_handler.py", "--serialized-file", setup.archive / WEIGHTS_FILE,
        "--extra-files", setup.archive / CARD_FILE, "--export-path", folder,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"TMPDIR": str(temporary)})
    (folder / "plain.mar.sha256").write_text(f"{file_sha256(folder / 'plain.mar')}  plain.mar\n")
    (folder / "config.properties").write_text(PLAIN_CONFIG)
    shutil.copy(ROOT / LOG_CONFIG, folder)
    with _served(folder / "config.properties", folder, "plain", threads) as server:
        yield server


@contextmanager
def _served(
    config: Path, store: Path, model: str, threads: Mapping[str, str], engine: str = "torchserve"
) -> Iterator[HttpServer]:
    server = server_class(engine)(config, port=0, model_store=store)
    before = {name: os.environ.pop(name) for name in THREADS if name in os.environ}
    os.environ.update(threads)
    try:
        server.start()
    finally:
        for name in threads:
            del os.environ[name]
        os.environ.update(before)
    try:
        key = {"Authorization": f"Bearer {server.inference_key}"} if server.inference_key else {}
        headers = {"Content-Type": "application/octet-stream"} | key
        yield HttpServer(f"{server.url}/predictions/{model}", server.processes, headers)
    finally:
        server.stop()


@contextmanager
def _program(
    setup: Setup,
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    url: str,
    wrap: Callable[[bytes], bytes] = bytes,
    **headers: str,
) -> Iterator[HttpServer]:
    """A server that is a program of the other interpreter."""
    log = setup.work / name / "log"
    log.parent.mkdir()
    with started(command, environment, log) as process:
        server = HttpServer(url, lambda: family(process), {"Content-Type": "image/jpeg"} | headers, wrap)
        wait_for_answer(server, process, setup.film, log)
        yield server


def _python(setup: Setup, *packages: str) -> Path:
    """The other interpreter, which must have a server's packages and, like all of them, this project's."""
    if setup.python is None:
        raise BenchmarkError("no --python that has benchmarks/servers/requirements.txt")
    check = "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"
    command = [setup.python, "-c", check, *packages, "onnxruntime", "pydantic", "cv2"]
    missing = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    if missing:
        raise BenchmarkError(
            f"{setup.python} lacks {', '.join(missing)}: install benchmarks/servers/requirements.txt, and let its file "
            "osteolens.pth name a folder of this project's packages that exists"
        )
    return setup.python


def fastapi(setup: Setup, processes: int, pool: int) -> AbstractContextManager[Contestant]:
    """Uvicorn with its fast event loop and parser."""
    python, (port,) = _python(setup, "fastapi", "uvicorn", "uvloop", "httptools"), free_ports(1)
    command = [
        python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", SERVERS, "--port", str(port), "--loop",
        "uvloop", "--http", "httptools", "--workers", str(processes), "--log-level", "warning", "--no-access-log",
    ]  # fmt: skip
    environment = setup.environment(OSTEOLENS_BENCH_POOL=str(pool))
    return _program(setup, f"fastapi-{processes}", command, environment, f"http://127.0.0.1:{port}/predictions")


def litserve(setup: Setup) -> AbstractContextManager[Contestant]:
    """LitServe."""
    (port,) = free_ports(1)
    command = [_python(setup, "litserve"), SERVERS / "litserve_app.py", str(port)]
    headers = {"Content-Type": "application/octet-stream"}
    return _program(setup, "litserve", command, setup.environment(), f"http://127.0.0.1:{port}/predict", **headers)


def bentoml(setup: Setup) -> AbstractContextManager[Contestant]:
    """BentoML; it reports to nobody."""
    python, (port,) = _python(setup, "bentoml"), free_ports(1)
    command = [
        python, "-m", "bentoml", "serve", "bentoml_app:Film", "--working-dir", SERVERS, "--host", "127.0.0.1",
        "--port", str(port), "--quiet",
    ]  # fmt: skip
    environment = setup.environment(BENTOML_HOME=str(setup.work / "bentoml-home"), BENTOML_DO_NOT_TRACK="True")
    return _program(setup, "bentoml", command, environment, f"http://127.0.0.1:{port}/predictions")


def triton(setup: Setup) -> AbstractContextManager[Contestant]:
    """The server and its Python backend from the wheel of nvidia-pytriton, without pytriton's own proxy."""
    ask = "import json, sys, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), [p for p in sys.path if p]]))"
    python = _python(setup, "pytriton")
    packages, paths = json.loads(subprocess.run([python, "-c", ask], check=True, capture_output=True).stdout)
    wheel = Path(packages) / "pytriton" / "tritonserver"
    backend = setup.work / "triton-backends" / "python"
    shutil.copytree(wheel / "backends" / "python", backend)
    stub = wheel / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(stub / "triton_python_backend_stub", backend)
    (port,) = free_ports(1)
    command = [
        wheel / "bin" / "tritonserver", f"--model-repository={SERVERS / 'triton'}",
        f"--backend-directory={backend.parent}", "--http-address=127.0.0.1", f"--http-port={port}",
        "--allow-grpc=false", "--allow-metrics=false", "--log-info=false", "--disable-auto-complete-config",
    ]  # fmt: skip
    environment = setup.environment(
        LD_LIBRARY_PATH=f"{packages}/nvidia_pytriton.libs",
        OSTEOLENS_BENCH_PATHS=os.pathsep.join([str(SERVERS), str(setup.archive), *paths]),
    )
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(TRITON_HEAD)}
    return _program(
        setup, "triton", command, environment, f"http://127.0.0.1:{port}/v2/models/film/infer", _triton_body, **headers
    )


def _triton_body(film: bytes) -> bytes:
    """A film as Triton's binary tensor, behind its description."""
    described = {"name": "film", "datatype": "UINT8", "shape": [len(film)]}
    described["parameters"] = {"binary_data_size": len(film)}
    outputs = [{"name": "answer", "parameters": {"binary_data": True}}]
    return json.dumps({"inputs": [described], "outputs": outputs}).ljust(TRITON_HEAD).encode() + film


@contextmanager
def in_process(setup: Setup, processes: int, threads: int) -> Iterator[Contestant]:
    """What is left when nothing is served."""
    with ExitStack() as stack:
        command = [sys.executable, SERVERS / "in_process.py", setup.work / "films", str(threads)]
        logs = [setup.work / f"in-process-{processes}-{number}.log" for number in range(processes)]
        running = [stack.enter_context(started(command, setup.environment(), log, piped=True)) for log in logs]
        yield InProcess(tuple(running))


@dataclass(frozen=True)
class Contender:
    """One row of the comparison."""

    name: str
    settings: str
    open: Callable[[Setup], AbstractContextManager[Contestant]]
    same_work: bool = True


CONTENDERS = (
    Contender(
        OURS,
        "TorchServe as config.properties and the archive have it: 2 workers of 1 thread, keys on",
        lambda setup: osteolens(setup, "torchserve"),
    ),
    Contender(
        f"{OURS}, uvicorn",
        "--engine uvicorn: 2 processes of 1 thread, keys, access log, metrics and digests on",
        lambda setup: osteolens(setup, "uvicorn"),
    ),
    Contender(
        PLAIN,
        "2 workers, torch at its default threads, eager model, grad-cam on each request, keys off, else defaults",
        lambda setup: plain(setup, {}),
        same_work=False,
    ),
    Contender(
        f"{PLAIN}, 1 thread",
        "the same with OMP_NUM_THREADS=1",
        lambda setup: plain(setup, dict.fromkeys(THREADS, "1")),
        same_work=False,
    ),
    Contender(
        "FastAPI, 2 threads",
        "uvicorn (uvloop, httptools), 1 process, a pool of 2 threads over 1 session of 1 thread",
        lambda setup: fastapi(setup, 1, 2),
    ),
    Contender(
        "FastAPI, 2 processes",
        "uvicorn (uvloop, httptools), 2 processes of 1 thread",
        lambda setup: fastapi(setup, 2, 1),
    ),
    Contender(
        "LitServe", "2 workers per device of 1 thread, 1 API server, fast_queue, raw body, no batching", litserve
    ),
    Contender("BentoML", "2 workers of 1 thread, file as Path, access log, metrics and tracing off", bentoml),
    Contender("Triton", "Python backend, 2 CPU instances of 1 thread, binary tensors, no gRPC and metrics", triton),
    Contender(
        CEILING, "osteolens.inference.reader in 2 processes of 1 thread, no HTTP", lambda setup: in_process(setup, 2, 1)
    ),
    Contender(
        REFERENCE,
        "osteolens.inference.reader in 1 process, ONNX session of 2 threads",
        lambda setup: in_process(setup, 1, 2),
    ),
)
