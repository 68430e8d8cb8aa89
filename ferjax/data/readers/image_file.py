"""One image file as a person sees it: upright, opaque, gray or red, green and blue, with 8 bits.

Training's readers and everything that predicts open images here, so that a network meets the same pixels in both.
"""

import io
import pathlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax.data.readers import levels

_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


class NotAnImage(ValueError):  # noqa: N818 - a fact about a file, not an error of the program
    """What is wrong with a file that should be an image; the message completes "it is "."""


def open_image(file: bytes | str | pathlib.Path, formats: tuple[str, ...] | None = None) -> tuple[Image.Image, str]:
    """Open an image file, by its content or its path; return it in mode L or RGB, and the mode that the file has.

    Of a file with several pictures it is the first. `formats` are those of Pillow that are tried. Raises NotAnImage for
    whatever is wrong with its content, and OSError where there is no such file or it may not be read.
    """
    image = load_image(file if isinstance(file, bytes) else pathlib.Path(file).read_bytes(), formats)
    return plain_image(image), image.mode


def load_image(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode an image file as it is, in one of Pillow's formats or any; raises NotAnImage."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.format == "EPS":  # a program in PostScript, which Pillow would have Ghostscript run
                raise ValueError("PostScript, which is a program; save it as PNG")
            image.load()
            levels.check_colour(image, data)
            return image
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        raise NotAnImage(describe_failure(data, error)) from error


def plain_image(image: Image.Image, top: int | None = None) -> Image.Image:
    """Do what `to_plain` does; raises NotAnImage where that cannot be."""
    try:
        return to_plain(image, top)
    except Exception as error:  # as above
        raise NotAnImage(describe_failure(b"some", error)) from error


def describe_failure(head: bytes, error: Exception) -> str:
    """Say what is wrong with a file that begins with `head` and whose decoding raised `error`."""
    if not head:
        return "an empty file, not an image"
    if head.startswith(b"data:"):
        return "a data: address that is damaged or not in base64 (data:image/png;base64,...)"
    if isinstance(error, UnidentifiedImageError):
        return "not a readable image (unknown format)"
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        return f"an image of more than {most:.0f} megapixels, which may be a decompression bomb: make it smaller"
    return f"not a readable image ({str(error).rstrip('.') or type(error).__name__})"


def to_plain(image: Image.Image, top: int | None = None) -> Image.Image:
    """Return an image in mode L or RGB: turned as its EXIF says, on white where it is transparent, its levels 0..255.

    `top` is the level that is white in an image of more than 8 bits; where nobody knows it, the smallest usual one that
    holds the image's own levels. Raises ValueError for levels beyond 16 bits and for colours that Pillow cannot
    convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    if levels.is_deep(image):
        array = np.asarray(image)
        return Image.fromarray(scale_levels(array) if top is None else levels.to_gray(array, top))
    return image.convert("RGB")


def scale_levels(array: np.ndarray) -> np.ndarray:
    """Return the levels of one image of more than 8 bits as uint8 0..255, by the smallest usual range that holds them.

    Raises ValueError where they are not within 0..65535.
    """
    return levels.to_gray(array, levels.choose_top([levels.find_highest(array)], real=levels.is_real(array)))
