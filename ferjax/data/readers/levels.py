"""Gray levels of images with more than 8 bits, brought to 0..255 by the range that a data set uses.

The files do not say which range is meant: cameras write 10 or 12 bits into files of 16, and programs write 8. So it is
the smallest usual one that holds all levels of all deep images of the data set together.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_WHOLE = (255, 1023, 4095, 16383, 65535)
_REAL = (1, 255, 65535)
# What is left of 16-bit colour whose levels use 12 bits or fewer: Pillow keeps the upper 8 alone.
_LOST_BELOW = 16


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has more than 8 bits a level."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_real(array: np.ndarray) -> bool:
    """Return whether an array's numbers are floats, of NumPy or of other libraries, as bfloat16 is."""
    return array.dtype.kind not in "biu"


def find_highest(image: Image.Image | np.ndarray) -> float:
    """Return the highest level of a deep image; raises ValueError for levels outside of 0..65535."""
    levels = np.asarray(image).astype(np.float64)
    if not (np.isfinite(levels).all() and levels.min(initial=0) >= 0 and levels.max(initial=0) <= _WHOLE[-1]):
        raise ValueError(f"its levels go from {levels.min():g} to {levels.max():g}, not within 0..65535")
    return float(levels.max(initial=0))


def choose_top(highest: Sequence[float], *, real: bool) -> int:
    """Return the level that is white, by the highest levels of all images, which are `real` or whole numbers."""
    return next(top for top in (_REAL if real else _WHOLE) if max(highest) <= top)


def to_gray(image: Image.Image | np.ndarray, top: int) -> UInt8[np.ndarray, "*shape"]:
    """Turn a deep image into gray levels 0..255, of which 255 was `top`."""
    levels = np.asarray(image).astype(np.float64)
    return np.rint(levels * (255.0 / top)).clip(0, 255).astype(np.uint8)


def check_colour(image: Image.Image, data: bytes) -> None:
    """Raise ValueError for a PNG of 16-bit colour of whose levels next to nothing is left."""
    deep_colour = data[:4] == b"\x89PNG" and data[24:25] == b"\x10" and data[25:26] in (b"\x02", b"\x04", b"\x06")
    if deep_colour and 0 < int(np.asarray(image).max(initial=0)) < _LOST_BELOW:
        raise ValueError("its 16-bit colours use the lowest of their range alone: save it with 8 bits")
