"""The mark in every picture that ferjax makes of another one.

By it a new run knows what it may replace, so that no picture of the user's is written over, and what a folder's search
leaves aside, so that copies are not answered as if they were sources.
"""

import contextlib
import hashlib
import os
import pathlib

from PIL import Image

from ferjax.inference import video

_MARK = "made by ferjax of picture "
# Behind the mark of a map whose array lies beside it.
_WITH_ARRAY = " with its array"
# The longest name of a file, in bytes, less what a number and a file that is being written need.
_LONGEST = 255 - 30
# Pillow's name for a JPEG's comment, and the keyword that a PNG's text is written with here.
_JPEG_KEY, PNG_KEY = "comment", "Comment"


def create_mark(source: str, *, with_array: bool = False) -> str:
    """Return the mark of what is made of a source: a digest of its path, which tells namesakes in two folders apart."""
    digest = hashlib.sha256(os.fsencode(os.path.abspath(source))).hexdigest()[:16]
    return f"{_MARK}{digest}{_WITH_ARRAY * with_array}"


def read_mark(image: Image.Image) -> str | None:
    """Return the mark of an image that Pillow has opened; None where it has none."""
    text = image.info.get(_JPEG_KEY) or image.info.get(PNG_KEY) or ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text if text.startswith(_MARK) else None


def read_file_mark(path: pathlib.Path) -> str | None:
    """Return the mark of an image or a video; None where it has none, and where it cannot be read or is no file."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return None
    if path.suffix.lower() in video.SUFFIXES:
        text = video.read_comment(path)
        return text if text.startswith(_MARK) else None
    with contextlib.suppress(Exception), Image.open(path) as image:  # whatever it is, it is not ours
        return read_mark(image)
    return None


def has_array(path: pathlib.Path) -> bool:
    """Return whether a map's mark says that the array beside it is its own."""
    return (read_file_mark(path) or "").endswith(_WITH_ARRAY)


class Places:
    """Where the files go that a run makes of its sources; `written` are those that it has chosen."""

    def __init__(self) -> None:
        self.written: set[pathlib.Path] = set()
        self._lowest: dict[pathlib.Path, int] = {}  # the first number that this run has not taken

    def choose(self, wanted: pathlib.Path, source: str, *, array: str = "") -> pathlib.Path:
        """Return a path for what is made of a source: `wanted`, with a number at its end where that has other use.

        That is where this run has written it for another source, and where a file is there that ferjax did not make of
        this source; what has no path, such as a camera, is another source each time. `array` is the suffix of a file
        without a mark that goes with it. A name that is too long is cut.
        """
        stem = _cut(wanted.stem, _LONGEST - len(os.fsencode(wanted.suffix)))
        mark = create_mark(source) if os.path.lexists(source) else None
        number = self._lowest.get(wanted, 1)
        while True:
            path = wanted.with_name(f"{stem}{f'_{number}' if number > 1 else ''}{wanted.suffix}")
            if path in self.written:
                if number == self._lowest.get(wanted, 1):
                    self._lowest[wanted] = number + 1
            elif _is_free(path, mark, array):
                self.written.add(path)
                return path
            number += 1


def _cut(name: str, most_bytes: int) -> str:
    data = os.fsencode(name)
    return name if len(data) <= most_bytes else data[:most_bytes].decode("utf-8", "ignore")


def _is_free(path: pathlib.Path, mark: str | None, array: str) -> bool:
    has_other = bool(array) and os.path.lexists(path.with_suffix(array))
    if not os.path.lexists(path):
        return not has_other
    ours = mark is not None and (read_file_mark(path) or "").startswith(mark)
    return ours and (not has_other or has_array(path))
