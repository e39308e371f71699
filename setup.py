"""Puts into a wheel what a server needs beside the package; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = (
    "config.properties", "constraints.txt", "log4j2.xml", "handlers/*.py", "handlers/*.yaml", "web/**/*",
    "weights/*/*.json", "weights/*/*.onnx", "weights/*/*.safetensors",
)  # fmt: skip
LEFT_OUT = {"node_modules", "__pycache__", "package.json", "jsconfig.json", "eslint.config.js", "texts.d.ts"}


class BuildWithShippedFiles(build_py):
    """Copies them to `osteolens/shipped`, where `osteolens.places` looks; an editable install needs no copies."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "osteolens" / "shipped"
        shutil.rmtree(target, ignore_errors=True)
        for path in sorted(path for pattern in SHIPPED for path in ROOT.glob(pattern)):
            name = path.relative_to(ROOT)
            if path.is_file() and not LEFT_OUT & set(name.parts):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / name)


setup(cmdclass={"build_py": BuildWithShippedFiles})
