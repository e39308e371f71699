"""A TorchServe handler as it is commonly written: the eager model, torchvision's transforms, grad-cam on each request.

It has no settings of its own for threads, batches or memory. The forward pass inside GradCAM is the only one (its
outputs are used for the probabilities), which is kinder than the many handlers that run the model twice.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from safetensors.torch import load_file
from torchvision import transforms
from ts.torch_handler.base_handler import BaseHandler


class PlainHandler(BaseHandler):
    """Film in, label, probabilities and heat map out."""

    def initialize(self, context: Any) -> None:
        """Load the weights of an OsteoLens EfficientNet into timm's model."""
        folder = Path(context.system_properties["model_dir"])
        card = json.loads((folder / "card.json").read_text())
        self.labels = card["labels"]
        self.model = timm.create_model(card["architecture"], num_classes=len(self.labels))
        weights = {
            name.removeprefix("backbone."): value for name, value in load_file(folder / "weights.safetensors").items()
        }
        self.model.load_state_dict({name: weights[name] for name in self.model.state_dict()})
        self.model.eval()
        self.transform = transforms.Compose(
            [
                transforms.Resize((card["preprocess"]["height"], card["preprocess"]["width"])),
                transforms.ToTensor(),
                transforms.Normalize(self.model.pretrained_cfg["mean"], self.model.pretrained_cfg["std"]),
            ]
        )
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """One answer per row."""
        return [self.answer(row.get("data") or row.get("body")) for row in data]

    def answer(self, film: bytes) -> dict[str, Any]:
        """What is sent back for one film."""
        image = Image.open(io.BytesIO(film)).convert("RGB")
        x = self.transform(image).unsqueeze(0)
        with GradCAM(model=self.model, target_layers=[self.model.bn2]) as cam:
            heat_map = cam(input_tensor=x, targets=None)[0]  # None: of the most likely class
            probabilities = torch.softmax(cam.outputs, dim=1)[0].tolist()
        _, png = cv2.imencode(".png", np.uint8(255 * heat_map))
        return {
            "label": self.labels[int(np.argmax(probabilities))],
            "probabilities": dict(zip(self.labels, probabilities, strict=True)),
            "heat_map": base64.b64encode(png.tobytes()).decode(),
        }
