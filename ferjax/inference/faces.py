"""The faces of one picture: found by a detector or given by the caller, and cut out at the network's size."""

import dataclasses
import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ferjax.documents import words
from ferjax.errors import UserError
from ferjax.inference import crops, detectors
from ferjax.inference.loads import Load
from ferjax.inference.pictures import Picture, Pixels, to_rgb

# x, y, width and height in pixels: [n, 4] for every picture, or such arrays or lists by source or for each in turn.
Boxes: TypeAlias = np.ndarray | Mapping[str, Any] | Iterable[Any]


_NO_MORE = object()
# A box given by the caller may have at most so many times the longer side of its picture.
_MOST_SIDES = 4


@runtime_checkable
class Classifier(Protocol):
    """What is asked of a network; ferjax.network.Network is one."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def unsure_below(self) -> float: ...

    def __call__(
        self, images: UInt8[np.ndarray, "..."], *, views: str = ..., batch_size: int = ...
    ) -> Float32[np.ndarray, "n k"]: ...

    def fit(self, images: UInt8[np.ndarray, "..."]) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a picture: boxes, how sure the detector is (nan where none was asked), and the network's inputs.

    `places` are what was cut out: the boxes with their margin.
    """

    picture: Picture
    boxes: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, " n"]
    places: Float[np.ndarray, "n 4"]
    inputs: np.ndarray | None = None  # [n, h, w, c]; None where there is no face


Find: TypeAlias = Callable[[Pixels], tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]]
Task: TypeAlias = tuple[Load, Find, Callable[[np.ndarray], np.ndarray]]


def create_tasks(
    loads: Iterable[Load], *, detect: bool, boxes: Boxes | None, detector: str | detectors.Detector | None
) -> Iterator[Task]:
    """Yield for every picture how it is loaded, how its faces are found, and which margin their boxes get.

    Raises UserError where there is no detector, and where `boxes` are too few, too many or of another shape.
    """
    if boxes is not None:
        for load, given in _pair(loads, boxes):
            yield load, given, _keep
    elif not detect:
        for load in loads:
            yield load, _take_all, _keep
    else:
        find = _create_find(detector)
        for load in loads:
            yield load, find, crops.add_margin


def cut_out(task: Task, network: Classifier, *, keep_pixels: bool) -> Faces:
    """Load a picture, find its faces and cut them out."""
    load, find, add_margin = task
    picture = load()
    if picture.pixels is None:
        return _leave_out(picture)
    # With an axis of channels, so that a gray picture of three columns is not taken for a colour.
    pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[..., None]
    try:
        boxes, scores = find(picture.pixels)
    except _BadBox as error:
        return _leave_out(dataclasses.replace(picture, pixels=None, reason=str(error)))
    places = add_margin(boxes)
    cuts = [network.fit(crops.cut(pixels, place)[None]) for place in places]
    inputs = np.concatenate(cuts) if cuts else None  # a copy, so that nothing holds the whole picture
    kept = picture if keep_pixels else dataclasses.replace(picture, pixels=None)
    return Faces(kept, boxes, scores, places, inputs)


def _leave_out(picture: Picture) -> Faces:
    return Faces(picture, np.zeros((0, 4)), np.zeros(0), np.zeros((0, 4)))


def _create_find(chosen: str | detectors.Detector | None) -> Find:
    detector = detectors.create(chosen) if chosen is None or isinstance(chosen, str) else chosen

    def find(pixels: Pixels) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
        found = detector(to_rgb(pixels))
        return found.boxes.astype(np.float64), found.scores.astype(np.float64).round(4)

    return find


def _take_all(pixels: Pixels) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
    height, width = pixels.shape[:2]
    return np.array([[0.0, 0.0, width, height]]), np.array([math.nan])


def _keep(boxes: np.ndarray) -> np.ndarray:
    return boxes


def _pair(loads: Iterable[Load], boxes: Boxes) -> Iterator[tuple[Load, Find]]:
    """Pair every picture with its boxes."""
    if hasattr(boxes, "__array__"):  # of jax or pandas
        boxes = np.asarray(boxes)
    if isinstance(boxes, list | tuple) and boxes and all(map(_is_box, boxes)):
        boxes = np.array(boxes)
    if isinstance(boxes, Mapping):
        for load in loads:
            # Only the loaded picture tells its source.
            picture = load()
            if picture.source not in boxes:
                raise UserError(f"boxes has none of {picture.source}: give an empty list where there is no face.")
            yield _give(picture), _find_given(boxes[picture.source], f"boxes[{picture.source!r}]")
    elif isinstance(boxes, np.ndarray) and boxes.ndim == 2:
        for load in loads:
            yield load, _find_given(boxes, "boxes")
    else:
        yield from _pair_in_turn(loads, boxes)


def _is_box(value: Any) -> bool:
    try:
        return bool(np.shape(value) == (4,))
    except ValueError:  # rows of different lengths
        return False


def _pair_in_turn(loads: Iterable[Load], boxes: Iterable[Any]) -> Iterator[tuple[Load, Find]]:
    """Pair every picture with the next entry of `boxes`; an empty list says of a single picture that it has no face."""
    each = iter([[]] if isinstance(boxes, Sized) and len(boxes) == 0 else boxes)
    number = 0
    for number, load in enumerate(loads, start=1):
        given = next(each, _NO_MORE)
        if given is _NO_MORE:
            have = len(boxes) if isinstance(boxes, Sized) else number - 1
            raise UserError(
                f"boxes has {words.count(have, 'list')} of boxes, and there are more pictures: give one for each."
            )
        yield load, _find_given(given, f"boxes[{number - 1}]")
    # What has no length, such as a generator, may go on for ever.
    if isinstance(boxes, Sized) and len(boxes) > max(number, 1):
        lists = words.count(len(boxes), "list")
        raise UserError(f"boxes has {lists} of boxes for {words.count(number, 'picture')}: give one for each.")


def _give(picture: Picture) -> Load:
    return lambda: picture


class _BadBox(ValueError):  # noqa: N818 - a fact about one picture's boxes, which is the reason in its row
    """Which box of the caller's shows no part of its picture."""


def _find_given(given: Any, name: str) -> Find:
    """Return what finds the boxes of the caller; `name` is what he knows them by."""
    try:
        boxes = np.asarray(given, np.float64)
    except (ValueError, TypeError, OverflowError):
        boxes = np.zeros(1)
    if boxes.size == 0:
        boxes = np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"{name} is {reprlib.repr(given)}: give [n, 4], which are x, y, width and height in pixels.")

    def find(pixels: Pixels) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
        _check_within(boxes, pixels.shape[1], pixels.shape[0])
        return boxes, np.full(len(boxes), math.nan)

    return find


def _check_within(boxes: Float[np.ndarray, "n 4"], width: int, height: int) -> None:
    """Raise _BadBox for a box that shows nothing of the picture, or far more than it."""
    bad = ~np.isfinite(boxes).all(axis=1) | (np.round(boxes[:, 2:]) < 1).any(axis=1)
    if bad.any():
        raise _BadBox(f"the box {boxes[bad][0].tolist()} given for it is none: its width and height must be 1 or more")
    with np.errstate(over="ignore"):
        first, last = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = (first >= (width, height)).any(axis=1) | (last <= 0).any(axis=1)
    too_large = (boxes[:, 2:] > _MOST_SIDES * max(width, height)).any(axis=1)
    if (wrong := outside | too_large).any():
        box = boxes[wrong][0].tolist()
        raise _BadBox(
            f"the box {box} given for it does not fit its {width}x{height} pixels: x, y, width and height count in "
            "pixels of the upright picture"
        )
