"""Write a model's ONNX graphs, int8 too where its card accepts it: python export/to_onnx.py weights/efficientnet."""

import typer

from osteolens.cli.export import export

if __name__ == "__main__":
    typer.run(export)
