"""The format onnx: one file for onnxruntime and other programs, from uint8 images to probabilities."""

import json
import pathlib
from typing import Any

import numpy as np

from ferjax.errors import UserError
from ferjax.export.format import Exported, Format, Images, Probabilities, Runtime

FILE = "model.onnx"
_MISSING = "ONNX needs a package that is not installed ({}): pip install 'ferjax[export]'."


def write(exported: Exported, folder: pathlib.Path) -> None:
    """Write model.onnx, whose metadata says what its inputs and outputs are. Raises UserError where onnx is missing."""
    try:
        from ferjax.export.onnx_model.model import create_model
    except ModuleNotFoundError as error:
        raise UserError(_MISSING.format(error.name)) from error
    network = exported.network
    facts = {
        "classes": json.dumps(network.classes),
        "images": f"uint8 [n, {', '.join(map(str, network.image_shape))}]: one face each, 0..255, as trained on",
        "probabilities": "float32 [n, classes], of the calibrated network",
        "temperature": repr(network.temperature),
        "unsure_below": repr(network.unsure_below),
        "views": exported.views,
        "network": str(network.config["model.name"]),
    }
    model = create_model(exported.predict, network.image_shape, network.classes, facts, exported.storage)
    (folder / FILE).write_bytes(model.SerializeToString())


def load(folder: pathlib.Path) -> Runtime:
    """Load model.onnx in onnxruntime, on the CPU. Raises UserError where onnxruntime is missing."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(_MISSING.format(error.name)) from error
    session: Any = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])

    def run(images: Images) -> Probabilities:
        return np.asarray(session.run(None, {"images": images})[0])

    return run


FORMAT = Format("onnxruntime and other programs", (FILE,), write, load)
