"""The mark in every picture that ferjax makes of another one.

By it a new run knows what it may replace, so that no picture of the user's is written over, and what a folder's search
leaves aside, so that copies are not answered as if they were sources.
"""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Collection

from PIL import Image

from ferjax.inference import video

_MARK = "made by ferjax of picture "
# Pillow's name for a JPEG's comment, and the keyword that a PNG's text is written with here.
_JPEG_KEY, PNG_KEY = "comment", "Comment"


def create_mark(source: str) -> str:
    """Return the mark of what is made of a source: a digest of its path, which tells namesakes in two folders apart."""
    return _MARK + hashlib.sha256(os.fsencode(os.path.abspath(source))).hexdigest()[:16]


def read_mark(image: Image.Image) -> str | None:
    """Return the mark of an image that Pillow has opened; None where it has none."""
    text = image.info.get(_JPEG_KEY) or image.info.get(PNG_KEY) or ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text if text.startswith(_MARK) else None


def read_file_mark(path: pathlib.Path) -> str | None:
    """Return the mark of an image or a video; None where it has none, and where it cannot be read."""
    if path.suffix.lower() in video.SUFFIXES:
        text = video.read_comment(path)
        return text if text.startswith(_MARK) else None
    with contextlib.suppress(Exception), Image.open(path) as image:  # whatever it is, it is not ours
        return read_mark(image)
    return None


def choose_path(
    wanted: pathlib.Path, source: str, taken: Collection[pathlib.Path], beside: Collection[str] = ()
) -> pathlib.Path:
    """Return a path for what is made of a source: `wanted`, with a number at its end where that has other use.

    That is where this run has written it for another source (`taken`), and where a file is there that ferjax did not
    make of this source; what has no path, such as a camera, is another source each time. `beside` are suffixes of files
    without a mark that go with it.
    """
    mark, number, path = create_mark(source) if os.path.lexists(source) else None, 1, wanted
    while path in taken or not _is_free(path, mark, beside):
        number += 1
        path = wanted.with_name(f"{wanted.stem}_{number}{wanted.suffix}")
    return path


def _is_free(path: pathlib.Path, mark: str | None, beside: Collection[str]) -> bool:
    if not os.path.lexists(path):
        return not any(os.path.lexists(path.with_suffix(suffix)) for suffix in beside)
    return mark is not None and read_file_mark(path) == mark
