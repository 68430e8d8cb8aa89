"""onnxruntime: inference of the network that torch_worker.py exported."""

import pathlib
from collections.abc import Callable

import numpy as np
import onnxruntime

from benchmark import faces


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Callable, Callable]:
    """`form` is the ONNX file's name, which lies beside the data."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(pathlib.Path(data).parent / form), options, providers=onnxruntime.get_available_providers()
    )
    images = np.ascontiguousarray(faces.load_batch(data, batch)[0].transpose(0, 3, 1, 2))
    inputs = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, inputs), lambda _: None
