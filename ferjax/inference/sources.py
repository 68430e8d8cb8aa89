"""Where pictures come from: arrays, images of Pillow, paths, globs, folders, videos, cameras, iterators of these."""

import contextlib
import dataclasses
import glob
import logging
import os
import pathlib
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ferjax import paths
from ferjax.data.readers.archive import FolderTree, is_image_name, kind_of
from ferjax.data.readers.image_file import describe_failure
from ferjax.documents.words import list_first, shorten, to_line
from ferjax.errors import UserError
from ferjax.inference import video
from ferjax.inference.loads import (
    HEIC_SUFFIXES,
    Load,
    fail,
    learn_heic,
    load_array,
    load_file,
    load_frame,
    load_image,
)
from ferjax.inference.marks import read_file_mark, read_mark
from ferjax.inference.pictures import read_data_address
from ferjax.preprocess import NARROWEST_PX

# An iterable holds sources too.
Source: TypeAlias = np.ndarray | Image.Image | str | os.PathLike[str] | bytes | bytearray | int | Iterable[Any]

# Formats that may hold several pictures; a telephone's MPO holds one photograph and its depth or gain map.
_SEQUENCES = frozenset({"GIF", "WEBP", "TIFF", "PNG", "AVIF"})
_HEAD_BYTES = 16
_DEEPER = 2  # iterables within an iterable, whose whole numbers are no cameras

_HIDDEN = "hidden pictures and backups, each of which is answered where it is named itself,"
_COPIES = "what ferjax made of other pictures, each of which is answered where it is named itself,"

logger = logging.getLogger("ferjax")


@dataclasses.dataclass
class Counts:
    """How many frames there were, and how many of them `stride` skipped, by source; it grows while pictures come."""

    frames: Counter[str] = dataclasses.field(default_factory=Counter)
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)


def find_pictures(source: Source, *, stride: int = 1, counts: Counts | None = None) -> Iterator[Load]:
    """Yield a function for each picture of a source, which decodes it; what cannot be read is a Picture with a reason.

    `source` may be an array (of NumPy, of jax, or what has `__array__`) of one image, [h, w] or [h, w, c], or of
    several, [n, h, w] or [n, h, w, c]; an image of Pillow; the bytes of an image file; a path of an image, a video or a
    folder of these, which is searched with its folders; a glob such as 'photos/**/*.jpg'; an address that holds the
    image itself ('data:image/png;base64,...'); the number of a camera; or an iterable of any of these. Of a video, or
    of an image file with several pictures, every `stride`-th frame counts. Pictures without a name are called by their
    numbers, from 0. What an iterable holds that is none of these is a Picture with a reason too.
    """
    yield from _Finder(stride, counts or Counts()).find(source)


class _Finder:
    """Walks through a source; it counts the pictures that have no name, and the frames that it skips."""

    def __init__(self, stride: int, counts: Counts) -> None:
        self.stride, self.counts, self.unnamed = stride, counts, 0

    def find(self, source: Any, depth: int = 0) -> Iterator[Load]:
        """Yield the pictures of a source, which lies in `depth` iterables."""
        if isinstance(source, Image.Image):
            yield load_image(self._name(str(getattr(source, "filename", ""))), source)
        elif isinstance(source, bytes | bytearray | memoryview):
            yield load_file(self._name(""), bytes(source))
        elif isinstance(source, int) and not isinstance(source, bool) and depth < _DEEPER:
            yield from self._find_frames(f"camera {source}", source)
        elif isinstance(source, str | os.PathLike):
            yield from self._find_in_path(os.fspath(source))
        elif hasattr(source, "__array__"):  # NumPy's, jax's, and what other libraries have
            yield from self._find_in_array(np.asarray(source))
        elif isinstance(source, Iterable) and not (depth and _holds_numbers(source)):
            for part in source:
                yield from self.find(part, depth + 1)
        elif depth:
            what = "a list of numbers" if isinstance(source, Iterable) else f"{reprlib.repr(source)} in an iterable"
            yield fail(self._name(""), f"{what} is no picture: give an array, an image or a path")
        else:
            raise TypeError(f"{source!r} is no source of pictures: give an array, an image, a path or an iterable.")

    def _name(self, name: str) -> str:
        if name:
            return name
        self.unnamed += 1
        return str(self.unnamed - 1)

    def _find_in_array(self, array: np.ndarray) -> Iterator[Load]:
        one = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] < NARROWEST_PX)
        for image in array[None] if one or array.ndim not in (3, 4) else array:
            yield load_array(self._name(""), image)

    def _find_in_path(self, text: str) -> Iterator[Load]:
        if not text.strip():
            yield fail(repr(text), "an empty name: name a picture, a video or a folder")
            return
        if text.startswith("data:") and (data := read_data_address(os.fsencode(text))) is not None:
            yield load_file(self._name(""), data)
            return
        try:
            path = paths.parse(text)
            path.exists()
        except UserError as error:
            yield fail(text, str(error).removeprefix(f"{text} is "))
            return
        except OSError as error:
            yield fail(shorten(text), f"no file can be looked for under this name ({error.strerror})")
            return
        if path.is_dir():
            yield from self._find_in_folder(path)
        elif path.exists():
            yield from self._find_in_file(str(path), path)
        elif glob.has_magic(text):
            names = sorted(glob.iglob(str(path), recursive=True))
            if not names:
                yield fail(text, "no file is called so")
            yield from self._find_by_pattern(text, list(map(pathlib.Path, names)))
        elif text == "-":
            yield fail(text, "the standard input is not read: name a file, or give its bytes to network.predict")
        else:
            yield fail(text, "there is no such file")

    def _find_by_pattern(self, pattern: str, found: Sequence[pathlib.Path]) -> Iterator[Load]:
        searched, copies = set[pathlib.Path](), list[str]()
        for path in found:
            # '**' names what is in a folder as well as the folder, and a link may name another one's.
            real = path.resolve()
            if not searched.isdisjoint((real, *real.parents)):
                continue
            if path.is_dir():
                searched.add(real)
                yield from self._find_in_folder(path)
            else:
                yield from self._find_in_file(str(path), path, copies)
        _tell_aside(copies, _COPIES, pattern)
        if copies and len(copies) == len(found):
            yield fail(pattern, "nothing but what ferjax made of other pictures: name one to have it answered")

    def _find_in_folder(self, folder: pathlib.Path) -> Iterator[Load]:
        failures: list[OSError] = []
        tree = FolderTree(folder, on_error=failures.append)
        others, copies = [], list[str]()
        for name in tree.names:
            if _is_picture(folder / name):
                yield from self._find_in_file(str(folder / name), folder / name, copies)
            else:
                others.append(name)
        for name in tree.lost:
            yield fail(str(folder / name), "a link to what is not there")
        for error in failures:
            place = str(error.filename or folder)
            what = "folder" if os.path.isdir(place) else "file"
            yield fail(place, f"a {what} that cannot be read ({error.strerror})")
        _tell_aside(others, "what is neither an image nor a video", str(folder))
        _tell_aside(list(filter(_has_picture_name, tree.junk)), _HIDDEN, str(folder))
        _tell_aside(copies, _COPIES, str(folder))
        if len(others) + len(copies) == len(tree.names) and not tree.lost and not failures:
            yield fail(str(folder), "a folder without any image or video" + " of your own" * bool(copies))

    def _find_in_file(self, name: str, path: pathlib.Path, copies: list[str] | None = None) -> Iterator[Load]:
        """Yield the pictures of a file; where `copies` is given, what ferjax made of another goes there instead."""
        if path.exists() and not path.is_file():
            yield fail(name, "a pipe or a device: save it as a file")
            return
        if path.suffix.lower() in video.SUFFIXES:
            if copies is not None and read_file_mark(path) is not None:
                copies.append(name)
                return
            yield from self._find_frames(name, path)
            return
        with contextlib.suppress(Exception), Image.open(path) as image:  # what is wrong is found as it is decoded
            if copies is not None and read_mark(image) is not None:
                copies.append(name)
                return
            if image.format in _SEQUENCES and getattr(image, "n_frames", 1) > 1:
                yield from self._find_in_sequence(name, image)
                return
        if path.suffix.lower() in HEIC_SUFFIXES:
            learn_heic()
        yield load_file(name, path)

    def _find_in_sequence(self, name: str, image: Image.Image) -> Iterator[Load]:
        time_s = 0.0
        for number in range(image.n_frames):  # type: ignore[attr-defined] # of files with several pictures
            try:
                image.seek(number)
                part = image.copy()
            except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
                self._takes(name, number)
                yield fail(name, describe_failure(b"?", error), frame=number, time_s=time_s)
                if image.format != "TIFF":  # its pages are apart; others build on the frame before, or claim too many
                    return
                continue
            if self._takes(name, number):
                yield load_image(name, part, frame=number, time_s=time_s)
            time_s += image.info.get("duration", 0) / 1000

    def _find_frames(self, name: str, source: pathlib.Path | int) -> Iterator[Load]:
        try:
            for frame in video.read_frames(source):
                # A damaged part is told even where it would have been skipped.
                if self._takes(name, frame.number) or frame.reason:
                    yield load_frame(name, frame)
        except video.NotAVideo as error:
            yield fail(name, str(error))

    def _takes(self, name: str, number: int) -> bool:
        taken = number % self.stride == 0
        self.counts.frames[name] += 1
        self.counts.skipped[name] += not taken
        return taken


def _holds_numbers(source: Iterable[Any]) -> bool:
    return isinstance(source, list | tuple) and bool(source) and isinstance(source[0], int | float)


def _tell_aside(names: Sequence[str], what: str, place: str) -> None:
    """Log the first of the files that a search leaves aside."""
    if names:
        logger.info("Left aside %s in %s: %s", what, to_line(place), list_first(map(to_line, names)))


def _has_picture_name(name: str) -> bool:
    suffix = pathlib.PurePath(name).suffix.lower()
    return suffix in video.SUFFIXES or suffix in HEIC_SUFFIXES or is_image_name(name)


def _is_picture(path: pathlib.Path) -> bool:
    if _has_picture_name(path.name):
        return True
    if path.suffix:
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return kind_of(file.read(_HEAD_BYTES)) == "image"
    return False
