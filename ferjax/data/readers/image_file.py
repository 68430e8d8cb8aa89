"""One image file as a person sees it: upright, opaque, gray or red, green and blue, with 8 bits.

Training's readers and everything that predicts open images here, so that a network meets the same pixels in both.
"""

import io
import pathlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


class NotAnImage(ValueError):  # noqa: N818 - a fact about a file, not an error of the program
    """What is wrong with a file that should be an image; the message completes "it is "."""


def open_image(file: bytes | str | pathlib.Path) -> tuple[Image.Image, str]:
    """Open an image file, by its content or its path; return it in mode L or RGB, and the mode that the file has.

    Of a file with several pictures it is the first. Raises NotAnImage for whatever is wrong with its content, and
    OSError where there is no such file or it may not be read.
    """
    data = file if isinstance(file, bytes) else pathlib.Path(file).read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return to_plain(image), image.mode
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        raise NotAnImage(describe_failure(data, error)) from error


def describe_failure(head: bytes, error: Exception) -> str:
    """Say what is wrong with a file that begins with `head` and whose decoding raised `error`."""
    if not head:
        return "an empty file, not an image"
    if isinstance(error, UnidentifiedImageError):
        return "not a readable image (unknown format)"
    return f"not a readable image ({str(error).rstrip('.') or type(error).__name__})"


def to_plain(image: Image.Image) -> Image.Image:
    """Return an image in mode L or RGB: turned as its EXIF says, on white where it is transparent, its levels 0..255.

    Raises ValueError for levels beyond 16 bits and for colours that Pillow cannot convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(scale_levels(np.asarray(image)))
    return image.convert("RGB")


def scale_levels(levels: np.ndarray) -> np.ndarray:
    """Return levels of more than 8 bits as uint8 0..255; raises ValueError where they are not within 0..65535.

    The format does not say which range is meant: 0..1 (of fractions), 8 bits or 16 bits, whichever holds all levels.
    """
    values = levels.astype(np.float64)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 65535):
        raise ValueError(f"its levels go from {values.min():g} to {values.max():g}, not within 0..65535")
    highest = values.max(initial=0)
    fractions = np.issubdtype(levels.dtype, np.floating) and highest <= 1
    top = 1.0 if fractions else 255.0 if highest <= 255 else 65535.0
    scaled: np.ndarray = np.rint(values * (255.0 / top)).astype(np.uint8)
    return scaled
