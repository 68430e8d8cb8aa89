"""Faces that go on from frame to frame of a video, and their probabilities smoothed over time."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Float32

from ferjax.inference.answers import Answer, Face

# Two boxes are of one face where they share this much of their union. At 25 frames a second a face that moves by a
# third of its width from one frame to the next still does.
_LEAST_OVERLAP = 0.3
# A face that is away for longer is another one.
_LONGEST_GAP_S = 1.0
# How long an expression is remembered: an answer's weight falls to 1/e in that time. Expressions last from half a
# second to four (Ekman 2003, "Emotions Revealed").
MEMORY_S = 0.5


@dataclasses.dataclass
class _Track:
    number: int
    box: tuple[int, int, int, int]
    time_s: float
    smooth: Float32[np.ndarray, " k"]


class Tracker:
    """Numbers the faces of one video, from 0, and smooths their probabilities by the frames before."""

    def __init__(self, memory_s: float = MEMORY_S) -> None:
        self._memory_s = memory_s
        self._source: str | None = None
        self._tracks: list[_Track] = []
        self._next = 0

    def follow(self, answer: Answer) -> Answer:
        """Return the answer to the next picture with tracks; those that are no frames of a video stay as they are."""
        picture = answer.picture
        if not picture.moving:
            return answer
        if picture.source != self._source:
            self._source, self._tracks, self._next = picture.source, [], 0
        now_s = picture.time_s or 0.0
        self._tracks = [track for track in self._tracks if now_s - track.time_s <= _LONGEST_GAP_S]
        matches = _match([track.box for track in self._tracks], [face.box for face in answer.faces])
        faces = tuple(self._go_on(face, matches.get(i), now_s) for i, face in enumerate(answer.faces))
        return dataclasses.replace(answer, faces=faces)

    def _go_on(self, face: Face, match: int | None, now_s: float) -> Face:
        if match is None:
            track = _Track(self._next, face.box, now_s, face.probabilities)
            self._next += 1
            self._tracks.append(track)
        else:
            track = self._tracks[match]
            share = 1.0 - math.exp(-max(0.0, now_s - track.time_s) / self._memory_s) if self._memory_s else 1.0
            track.smooth = (track.smooth + np.float32(share) * (face.probabilities - track.smooth)).astype(np.float32)
            track.box, track.time_s = face.box, now_s
        return dataclasses.replace(face, track=track.number, smooth=track.smooth)


def find_overlaps(one: Float[np.ndarray, "n 4"], other: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Return the shared area over the union of each pair of boxes, which are x, y, width and height."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas = one[:, 2:].prod(axis=-1)[:, None] + other[:, 2:].prod(axis=-1)[None]
    overlaps: np.ndarray = shared / np.maximum(areas - shared, 1e-9)
    return overlaps


def _match(before: list[tuple[int, int, int, int]], now: list[tuple[int, int, int, int]]) -> dict[int, int]:
    """Return for the faces of now the number of their track, such that the pairs share as much as they can."""
    if not before or not now:
        return {}
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    overlaps = find_overlaps(np.array(before, np.float64), np.array(now, np.float64))
    rows, columns = linear_sum_assignment(np.where(overlaps >= _LEAST_OVERLAP, -overlaps, 0.0))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {column: row for row, column in pairs if overlaps[row, column] >= _LEAST_OVERLAP}
