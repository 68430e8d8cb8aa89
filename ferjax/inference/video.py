"""Videos and cameras, frame by frame.

PyAV reads them: FFmpeg in one wheel of 36 MB for Linux, macOS and Windows, BSD licence (FFmpeg in it: LGPL), released
several times a year. It gives each frame's own time and says which packets are damaged; OpenCV's wheel is twice as
large, and says neither.
"""

import contextlib
import dataclasses
import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ferjax import machine
from ferjax.errors import UserError

SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpeg", ".mjpg", ".y4m"),
    }
)


# What a video says of its length is not exact; where more is missing, it is cut off.
_MOST_MISSING_S = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A frame's number, from 0, its time in seconds, and the frame itself, or the reason why it could not be decoded.

    `rotation` is by how many degrees, counterclockwise, its player turns it.
    """

    number: int
    time_s: float
    image: Any = None
    rotation: int = 0
    reason: str = ""

    def to_pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the frame, upright, as red, green and blue."""
        pixels: np.ndarray = self.image.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(pixels, self.rotation // 90)) if self.rotation else pixels


class NotAVideo(ValueError):  # noqa: N818 - a fact about a file, not an error of the program
    """What is wrong with a file or a camera that should give frames."""


def import_av() -> Any:
    """Import PyAV, or raise a UserError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise UserError("Videos need the package av: pip install 'ferjax[predict]'.") from error
    return av


def read_frames(source: pathlib.Path | int) -> Iterator[Frame]:
    """Yield every frame of a video file, or those of a camera, by its number, until it ends.

    A damaged part is a frame with a reason. Raises NotAVideo where there are no frames at all.
    """
    av = import_av()
    try:
        container = _open_camera(av, source) if isinstance(source, int) else av.open(str(source))
    except (OSError, ValueError, av.FFmpegError) as error:
        what = f"there is no camera {source}" if isinstance(source, int) else "not a readable video"
        raise NotAVideo(f"{what} ({_describe(error)})") from error
    with container:
        if not container.streams.video:
            raise NotAVideo("a file without any picture, such as sound")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield from _decode(av, container, stream)


def read_comment(path: pathlib.Path) -> str:
    """Return the comment that a video file carries, empty where it has none or cannot be read."""
    try:
        av = import_av()
    except UserError:
        return ""
    with contextlib.suppress(OSError, ValueError, av.FFmpegError), av.open(str(path)) as container:
        return str(container.metadata.get("comment", ""))
    return ""


def _decode(av: Any, container: Any, stream: Any) -> Iterator[Frame]:
    rate = float(stream.average_rate or 25)
    start_s = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
    number, time_s = 0, 0.0
    awaited, reasons = _Awaited(), list[str]()
    for packet, failure in _read_packets(av, container, stream):
        images = []
        if packet is not None:
            awaited.add(packet)
            try:
                images = packet.decode()
            except av.FFmpegError as error:
                failure = error
        if failure is not None:
            reasons.append(f"a damaged part of the video ({_describe(failure)})")
        for image in images:
            time_s = image.time - start_s if image.time is not None else number / rate
            while reasons and (lost_s := awaited.pop_before(image.time)) is not None:
                yield Frame(number, lost_s - start_s, reason=reasons.pop(0))
                number += 1
            awaited.remove(image, forget=not reasons)
            yield Frame(number, time_s, image, getattr(image, "rotation", 0) % 360)
            number += 1
    for ahead, reason in enumerate(reasons, start=1):
        lost_s = awaited.pop_before(math.inf)
        yield Frame(number, time_s + ahead / rate if lost_s is None else lost_s - start_s, reason=reason)
        number += 1
    if number == 0:
        raise NotAVideo("a video without any readable frame")
    promised_s = _find_duration(stream)
    if promised_s is not None and time_s + 1 / rate < promised_s - _MOST_MISSING_S:
        yield Frame(number, time_s, reason=f"the video breaks off here, at {time_s:.1f} s of {promised_s:.1f} s")


class _Awaited:
    """The times of packets that have given no image yet: a decoder says only some packets later which was damaged."""

    def __init__(self) -> None:
        self._times: set[float] = set()

    def add(self, packet: Any) -> None:
        if packet.pts is not None:
            self._times.add(float(packet.pts * packet.time_base))

    def pop_before(self, time_s: float | None) -> float | None:
        """Take and return the earliest time before an image's, which comes no more; None where there is none."""
        first = min(self._times, default=math.inf)
        if time_s is None or first >= time_s:
            return None
        self._times.remove(first)
        return first

    def remove(self, image: Any, *, forget: bool) -> None:
        """Take off an image that has come; `forget` takes off all before it too, such as those that are not shown."""
        self._times.discard(image.time)
        if forget and image.time is not None:
            self._times = {time_s for time_s in self._times if time_s > image.time}


def _find_duration(stream: Any) -> float | None:
    """Return how long a video says that it is, in seconds; None where it does not say."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    # Matroska has it as a text, such as 00:00:08.040000000.
    parts = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if parts is None:
        return None
    hours, minutes, seconds = map(float, parts.groups())
    return 3600 * hours + 60 * minutes + seconds


def _read_packets(av: Any, container: Any, stream: Any) -> Iterator[tuple[Any, Exception | None]]:
    """Yield packets until the end, or an error once where the file breaks off."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            yield None, error
            return
        yield packet, None


def _open_camera(av: Any, number: int) -> Any:
    camera = machine.find_camera(number)
    if camera is None:
        raise ValueError("on Windows give the camera's video as a file")
    name, form, options = camera
    return av.open(name, format=form, container_options=options)


def _describe(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")


class VideoWriter:
    """Writes frames as an MP4 (H.264, or MPEG-4 where this FFmpeg has none), each with its own time."""

    def __init__(self, path: pathlib.Path, comment: str = "") -> None:
        self._av = import_av()
        self._container = self._av.open(str(path), "w", format="mp4")
        self._container.metadata["comment"] = comment
        self._stream: Any = None

    def add(self, pixels: UInt8[np.ndarray, "h w 3"], time_s: float) -> None:
        """Add a frame; all are as large as the first, whose odd last row or column is left out."""
        if self._stream is None:
            self._create_stream(*pixels.shape[:2])
        height, width = self._stream.height, self._stream.width
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        if image.height // 2 * 2 == height and image.width // 2 * 2 == width:
            image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
        else:
            image = image.reformat(width=width, height=height)
        image.pts, image.time_base = round(time_s * 90_000), self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(image))

    def _create_stream(self, height: int, width: int) -> None:
        import fractions

        codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        self._stream = self._container.add_stream(codec, rate=30)
        self._stream.width, self._stream.height = width // 2 * 2, height // 2 * 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = fractions.Fraction(1, 90_000)

    def close(self) -> None:
        """Write what is left, and close the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        with contextlib.suppress(self._av.FFmpegError):  # of a file without any frame
            self._container.close()
