"""From a face's box to the crop that a network sees: one margin for every detector, picture and door."""

import numpy as np
from jaxtyping import Float, UInt8

# Of the mean of the box's width and height: the crop's side, and how far its centre lies above the box's. FER-2013's
# crops of faces, pasted into empty pictures and found there, lie so in the median, for both detectors; and no margin
# near it gets the answers of the crops themselves clearly more often (scripts/benchmarks/choose_margin.py,
# docs/predict.md).
SIDE, RAISE = 1.08, 0.02


def add_margin(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Return the square crops of face boxes; both are x, y, width and height in pixels."""
    mean = boxes[:, 2:].mean(axis=1, keepdims=True)
    centre = boxes[:, :2] + boxes[:, 2:] / 2 - mean * np.array([0.0, RAISE])
    side = mean * SIDE
    return np.concatenate([centre - side / 2, side, side], axis=1)


def cut(pixels: UInt8[np.ndarray, "h w *c"], box: Float[np.ndarray, " 4"]) -> UInt8[np.ndarray, "y x *c"]:
    """Cut a box out of a picture, in whole pixels; beyond the picture its nearest edge goes on."""
    left, top = round(float(box[0])), round(float(box[1]))
    right, bottom = left + max(1, round(float(box[2]))), top + max(1, round(float(box[3])))
    height, width = pixels.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return pixels[top:bottom, left:right]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return pixels[rows[:, None], columns]


def paste(pixels: UInt8[np.ndarray, "h w *c"], part: UInt8[np.ndarray, "y x *c"], at: tuple[int, int]) -> None:
    """Put what `cut` gave for a box at (x, y) back into the picture itself, but what lies beyond it."""
    (height, width), (left, top) = pixels.shape[:2], at
    first_row, first_column = max(0, -top), max(0, -left)
    seen = part[first_row : max(first_row, height - top), first_column : max(first_column, width - left)]
    pixels[top + first_row :, left + first_column :][: seen.shape[0], : seen.shape[1]] = seen
