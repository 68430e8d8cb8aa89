"""Pictures that are still to be decoded: functions that do it, in a thread of their own."""

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ferjax.data.readers.image_file import NotAnImage, describe_failure, open_image, to_plain
from ferjax.inference import video
from ferjax.inference.pictures import Picture, to_pixels

Load: TypeAlias = Callable[[], Picture]

# Photographs that need a plugin of Pillow: without it they are unreadable, and not left aside.
HEIC_SUFFIXES = frozenset({".heic", ".heif"})


def learn_heic() -> None:
    """Have Pillow read HEIC where its plugin is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif  # type: ignore[import-not-found]

        pillow_heif.register_heif_opener()


def fail(name: str, reason: str, **place: Any) -> Load:
    """Make a picture of which nothing could be read, for a reason."""
    return lambda: Picture(name, reason=reason, **place)


def load_array(name: str, array: np.ndarray) -> Load:
    """Make a picture of an array, whose shape and type may be no image's."""

    def load() -> Picture:
        try:
            return Picture(name, to_pixels(array))
        except ValueError as error:
            return Picture(name, reason=str(error))

    return load


def load_image(name: str, image: Image.Image, **place: Any) -> Load:
    """Make a picture of an image of Pillow."""

    def load() -> Picture:
        try:
            return Picture(name, np.asarray(to_plain(image)), **place)
        except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
            return Picture(name, reason=describe_failure(b"?", error), **place)

    return load


def load_file(name: str, file: bytes | pathlib.Path) -> Load:
    """Make a picture of a file, or of the bytes of one."""

    def load() -> Picture:
        try:
            return Picture(name, np.asarray(open_image(file)[0]))
        except NotAnImage as error:
            hint = ": pip install pillow-heif" if pathlib.PurePath(name).suffix.lower() in HEIC_SUFFIXES else ""
            return Picture(name, reason=f"{error}{hint}")
        except OSError as error:
            return Picture(name, reason=f"a file that cannot be read ({error.strerror})")

    return load


def load_frame(name: str, frame: video.Frame) -> Load:
    """Make a picture of a video's frame."""

    def load() -> Picture:
        place: dict[str, Any] = {"frame": frame.number, "time_s": frame.time_s, "moving": True}
        if frame.reason:
            return Picture(name, reason=frame.reason, **place)
        return Picture(name, frame.to_pixels(), **place)

    return load
