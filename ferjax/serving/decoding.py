"""Uploaded files as pictures, checked before they are decoded."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ferjax.data.readers.image_file import NotAnImage, describe_failure, open_image
from ferjax.inference.pictures import Picture
from ferjax.serving.limits import Limits
from ferjax.serving.uploads import Upload

# Pillow reads many more, some with other programs; a stranger's file is not given to those.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")


class Decoded(NamedTuple):
    """A picture, and the status of HTTP that says why it has no pixels, or 200."""

    picture: Picture
    status: int


def decode(upload: Upload, limits: Limits) -> Decoded:
    """Decode a file; a picture that cannot be read has a reason. Of several frames the first counts."""
    try:
        with Image.open(io.BytesIO(upload.data), formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Decoded(Picture(upload.name, reason=_name_limit(limits)), 413)
    except UnidentifiedImageError as error:
        reason = f"not a picture; these are read: {', '.join(FORMATS)}"
        if not upload.data or upload.data.startswith(b"data:"):
            reason = describe_failure(upload.data, error)
        return Decoded(Picture(upload.name, reason=reason), 415)
    except Exception:  # Pillow's readers raise nearly anything on broken bytes
        return Decoded(Picture(upload.name, reason="a broken picture"), 422)
    if width * height > limits.pixels:
        return Decoded(Picture(upload.name, reason=_name_limit(limits)), 413)
    try:
        return Decoded(Picture(upload.name, np.asarray(open_image(upload.data, FORMATS)[0])), 200)
    except NotAnImage as error:
        return Decoded(Picture(upload.name, reason=str(error)), 422)


def _name_limit(limits: Limits) -> str:
    return f"a picture of more than {limits.pixels / 1e6:g} megapixels; make it smaller"
