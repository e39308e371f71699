"""Imports run one way, and the light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "osteolens"

# From the ground up: a module may import from its own layer and those below it.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {"labels", "errors", "agreement", "files", "places", "console", "logs", "cluster", "parameters", "processor"}
    ),
    frozenset({"options", "quality", "card", "evidence", "schema", "rows"}),
    frozenset({"films", "client"}),
    frozenset({"models", "datasets"}),
    frozenset({"inference"}),
    frozenset({"exporting", "serving"}),
    frozenset({"evaluation"}),
    frozenset({"training"}),
    frozenset({"reports", "audit"}),
    frozenset({"batch", "bench", "study", "dicomweb", "doctor"}),
    frozenset({"cli"}),
)
LIGHT = (
    "labels", "errors", "processor", "agreement", "files", "places", "console", "cluster", "options", "quality", "card",
    "evidence", "schema", "rows", "parameters", "films.read", "films.sniff", "films.prepare", "films.overlay",
    "inference.calibration", "client", "cli", "datasets.columns", "datasets.folders", "datasets.tables",
    "datasets.values",
)  # fmt: skip
HEAVY = (
    "torch", "timm", "matplotlib", "sklearn", "onnx", "onnxruntime", "pytorch_grad_cam", "openvino", "pyarrow",
    "aiohttp", "ray", "imagecodecs", "tifffile", "openpyxl", "pydicom", "highdicom",
)  # fmt: skip


def modules() -> dict[str, list[Path]]:
    """Source files by top-level module name."""
    found: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def imported(path: Path) -> set[str]:
    """Top-level osteolens modules that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("osteolens.")}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["osteolens"]:
                names |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif parts[0] == "osteolens":
                names.add(parts[1])
    return names


def level(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


def test_every_module_has_its_layer() -> None:
    assert set(modules()) == set().union(*LAYERS)


def test_imports_run_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {used}"
        for name, paths in modules().items()
        for path in paths
        for used in imported(path)
        if used != name and level(used) > level(name)
    ]
    assert wrong == []


def test_scripts_are_not_imported() -> None:
    scripts = {path.stem for folder in ("train", "export") for path in (ROOT / folder).glob("*.py")}
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "handlers").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & (scripts | {"train", "export", "handlers"}), path


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = f"import osteolens.{module}, sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
