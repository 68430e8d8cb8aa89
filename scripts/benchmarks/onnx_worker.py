"""onnxruntime: inference of the network that torch_worker.py exported."""

import pathlib

import numpy as np
import onnxruntime

from scripts.benchmarks import faces
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of inference; `form` is the name of the ONNX file, which lies beside the data."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(pathlib.Path(data).parent / form), options, providers=onnxruntime.get_available_providers()
    )
    images = np.ascontiguousarray(faces.load_batch(data, batch)[0].transpose(0, 3, 1, 2))
    inputs = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, inputs), lambda _: None
