"""The interpreter, the processor, what is installed, Java."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from osteolens import __version__, processor
from osteolens.doctor.check import Check, version_of
from osteolens.errors import OsteoLensError

OLDEST_PYTHON, GIGABYTE, LEAST_DISK = (3, 11), 1e9, 2e9
EXTRAS = ("serve", "explain", "yolo", "web", "batch", "dicom", "heif", "train", "export", "scale", "bench")
BACKENDS = {"onnx-int8, onnx-fp32": "onnxruntime", "torchscript, eager": "torch", "openvino": "openvino"}


def check_python() -> Check:
    """The interpreter, the system, and where the package comes from."""
    text = f"{platform.python_version()} on {platform.system()} {platform.release()} ({platform.machine()}), "
    text += f"osteolens {__version__} in {Path(__file__).parent}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", "fix", text, "install Python 3.11 or newer and make a new environment with it")
    return Check("Python", "ok", text)


def check_processor() -> Check:
    """Cores and instructions, and what they mean for int8."""
    sets = processor.instruction_sets()
    text = f"{processor.name()}, {processor.cores()} cores; {' '.join(sets) or 'instruction sets unknown'}"
    if sets and not processor.INT8 & set(sets):
        return Check("processor", "note", text, "it has neither VNNI nor AMX: onnx-fp32 is faster here than onnx-int8")
    return Check("processor", "ok", text)


def check_disk() -> Check:
    """Room for archives and results."""
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / GIGABYTE:.1f} GB free here"
    if free < LEAST_DISK:
        return Check("disk", "note", text, "archives and exports of all models take about 1 GB")
    return Check("disk", "ok", text)


def check_extras() -> Iterator[Check]:
    """Which parts of the product are installed. A part that lacks some of its packages is broken, not absent."""
    for extra in EXTRAS:
        packages = _packages_of(extra)
        missing = sorted(package for package in packages if not version_of(package))
        command = f"{sys.executable} -m pip install 'osteolens[{extra}]'"
        if not packages:  # the installed version has no such extra
            continue
        if not missing:
            yield Check(f"extra {extra}", "ok", "installed")
        elif len(missing) == len(packages):
            yield Check(f"extra {extra}", "note", "not installed", command)
        else:
            yield Check(f"extra {extra}", "note", f"not there: {', '.join(missing)}", command)


def check_backends() -> Iterator[Check]:
    """What can run a model here."""
    for backends, package in BACKENDS.items():
        number = version_of(package)
        yield Check(f"backend {backends}", "ok" if number else "note", f"{package} {number or 'is not installed'}")


def check_java() -> Check:
    """The Java that TorchServe runs on."""
    if not version_of("torchserve"):
        return Check("Java", "note", "not needed: TorchServe is not installed")
    from osteolens.serving.java import find_java

    try:
        return Check("Java", "ok", str(find_java()))
    except OsteoLensError as error:
        return Check("Java", "fix", "TorchServe has none", f"{error}; osteolens serve --engine uvicorn needs none")


def _packages_of(extra: str) -> set[str]:
    """Names of the packages that an extra needs, with those of the extras that it includes."""
    try:
        lines = requires("osteolens") or []
    except PackageNotFoundError:
        return set()
    packages: set[str] = set()
    # Such as `ray[data]==2.60.0; extra == "scale"`, and `osteolens[explain]; extra == "train"` for what it includes.
    for line in lines:
        requirement, _, marker = line.partition(";")
        if f'extra == "{extra}"' not in marker.replace("'", '"'):
            continue
        match = re.match(r"\s*([\w.-]+)\s*(?:\[([\w,\s-]+)\])?", requirement)
        if match and match[1] == "osteolens":
            for included in (match[2] or "").split(","):
                packages |= _packages_of(included.strip())
        elif match:
            packages.add(match[1])
    return packages
