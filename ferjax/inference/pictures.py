"""A picture, where it comes from, and arrays of every form as pictures."""

import base64
import binascii
import dataclasses
import re
import urllib.parse

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.readers.image_file import scale_levels, to_plain

_DATA_ADDRESS = re.compile(rb"data:[\w/+.-]*(;[\w=.-]+)*;base64,")
_PICTURE_ADDRESS = re.compile(rb"data:image/[\w+.-]*[;,]")  # in whatever way the picture is written in it

Pixels = UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """One picture, upright, gray or red, green and blue; or, where `pixels` is None, the `reason` why there is none.

    `source` names where it comes from; `frame` is its number in a video or in an image file with several pictures, from
    0, and `time_s` its time there, in seconds. `moving` says that it is a frame of a video, in which faces go on from
    frame to frame.
    """

    source: str
    pixels: Pixels | None = None
    reason: str = ""
    frame: int | None = None
    time_s: float | None = None
    moving: bool = False


def to_pixels(array: np.ndarray) -> Pixels:
    """Return one image, [h, w] or [h, w, c], as uint8: c may be 1, 3 (red, green, blue) or 4 (with opacity).

    Booleans are black and white; floats up to 1 are fractions of white; other numbers are of the smallest usual range
    that holds them, as in files of more than 8 bits (ferjax.data.readers.levels). Raises ValueError for another shape
    and for levels that are none of these.
    """
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"an array of shape {list(array.shape)} is no image: [h, w] or [h, w, c], c being 1, 3 or 4")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        array = scale_levels(array)
    if array.shape[-1] == 4 and array.ndim == 3:
        return np.asarray(to_plain(Image.fromarray(array, "RGBA")))
    return array


def to_rgb(pixels: Pixels) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture with three channels."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def read_data_address(text: bytes) -> bytes | None:
    """Return what is in an address such as 'data:image/png;base64,...', as browsers make it; None for other text.

    An address that is damaged, or holds its picture in another way, is returned itself: whoever opens it as a picture
    says what is wrong with it (describe_failure).
    """
    found = _DATA_ADDRESS.match(text)
    if found is None:
        return text if _PICTURE_ADDRESS.match(text) else None
    # As browsers read them: escaped signs, line breaks, and no signs at the end that only fill it up.
    letters = re.sub(rb"\s", b"", urllib.parse.unquote_to_bytes(text[found.end() :])).rstrip(b"=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True) or text
    except binascii.Error:
        return text
