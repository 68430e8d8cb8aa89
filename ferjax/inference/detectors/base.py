"""What a face detector is: it takes one picture and gives the boxes of its faces."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8


@dataclasses.dataclass(frozen=True)
class Detections:
    """The faces of one picture, from the surest to the least sure.

    `boxes` are x, y, width and height in pixels, (0, 0) being the top left corner; a box may reach beyond the picture.
    `scores` say how sure the detector is, 0..1. `landmarks` are the eyes, the nose and the corners of the mouth, those
    on the picture's left before those on its right, each as x, y; None where the detector does not find them.
    """

    boxes: Float32[np.ndarray, "n 4"]
    scores: Float32[np.ndarray, " n"]
    landmarks: Float32[np.ndarray, "n 5 2"] | None = None

    def __len__(self) -> int:
        """Count the faces."""
        return len(self.scores)


@runtime_checkable
class Detector(Protocol):
    """Finds faces; it is called from several threads at once."""

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Detections:
        """Find the faces of a picture of any size, its channels being red, green and blue."""


def suppress(
    boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"], most: float, *, of_smaller: bool = False
) -> list[int]:
    """Return the numbers of the boxes, surest first, that overlap no surer one by more than `most`.

    `boxes` are left, top, right and bottom. The overlap is the shared area over the union, or over the smaller of
    both boxes.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        first, waiting = waiting[0], waiting[1:]
        kept.append(int(first))
        low, high = np.maximum(boxes[waiting, :2], boxes[first, :2]), np.minimum(boxes[waiting, 2:], boxes[first, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        whole = np.minimum(areas[waiting], areas[first]) if of_smaller else areas[waiting] + areas[first] - shared
        waiting = waiting[shared <= most * whole]
    return kept
