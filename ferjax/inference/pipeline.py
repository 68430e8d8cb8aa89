"""From pictures to answers: decoded and searched in threads, classified in batches of one shape, given on in order."""

import collections
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from ferjax import machine
from ferjax.data.readers.archive import is_image_name
from ferjax.data.threads import map_ahead
from ferjax.errors import UserError
from ferjax.inference.answers import Answer, Face
from ferjax.inference.detectors import Detector
from ferjax.inference.faces import Boxes, Classifier, Faces, create_tasks, cut_out
from ferjax.inference.sources import Counts, Source, find_pictures
from ferjax.inference.tracks import MEMORY_S, Tracker

# How many faces a batch has: of a folder or a video; and of one picture or a camera, which do not wait for a full one.
# Up to three are sooner done one by one than as a part of eight.
_BATCH, _BATCHES_OF_FEW, _MOST_ONE_BY_ONE = 64, (1, 8), 3
# Pictures wait for their batch, at most with so many bytes together where they are kept, and at most so many.
_MOST_WAITING_BYTES, _MOST_WAITING = 300_000_000, 256


# Says where the answers for the faces of a picture come from: a picture of each place that was cut out, of its size.
Look: TypeAlias = Callable[[Faces, Float32[np.ndarray, "n k"]], Sequence[UInt8[np.ndarray, "h w 3"]]]

# Threads that decode and search. Each has a few whole pictures before it, so that more take much memory.
_MOST_WORKERS = 4


@dataclasses.dataclass(frozen=True)
class Options:
    """How pictures are searched and classified.

    Without `detect` each picture is a ready crop of one face; `boxes` are the faces' places where the caller knows
    them, and are cut out as they are. `detector` is a name of ferjax.inference.detectors.DETECTORS or a detector
    itself; by default it is the first that is installed. `views` are the test-time views. `batch_size` is the number of
    faces of a batch, by default 64, and for one picture or a camera 1, or 8 where it shows many. Every `stride`-th
    frame of a video counts. `memory_s` is how long probabilities are smoothed over, in seconds.
    """

    detect: bool = True
    boxes: Boxes | None = None
    detector: str | Detector | None = None
    views: str = "none"
    batch_size: int | None = None
    stride: int = 1
    memory_s: float = MEMORY_S


def stream(
    network: Classifier,
    source: Source,
    options: Options = Options(),
    *,
    counts: Counts | None = None,
    keep_pixels: bool = False,
    change: Callable[[Answer], Answer] | None = None,
    look: Look | None = None,
) -> Iterator[Answer]:
    """Yield an answer for every picture of a source, in order, however many there are; see sources.find_pictures.

    Faces of several pictures fill one batch, and all batches have one shape, so that the network compiles once. Only a
    few pictures are in memory at a time, and the answers hold none unless `keep_pixels`. `change` is applied to every
    answer before it is smoothed over time; `look` makes the overlays of its faces, and needs the pixels. Raises
    UserError where no detector is installed and for boxes of another form.
    """
    if not isinstance(options.detect, bool | np.bool_):  # 'no' would count as true
        raise UserError(f"detect={options.detect!r}: give True or False.")
    if options.stride < 1:
        raise UserError(f"stride={options.stride}: give a whole number from 1 up.")
    if options.batch_size is not None and options.batch_size < 1:
        raise UserError(f"batch_size={options.batch_size}: give a whole number from 1 up.")
    loads = find_pictures(source, stride=options.stride, counts=counts)
    tasks = create_tasks(loads, detect=options.detect, boxes=options.boxes, detector=options.detector)
    sizes = (options.batch_size,) if options.batch_size else _choose_batch_sizes(source)
    queue = _Queue(network, options.views, sizes)
    tracker = Tracker(options.memory_s)

    def finish(found: Faces, answer: Answer) -> Answer:
        changed = answer if change is None else change(answer)
        return tracker.follow(changed if look is None else _explain(found, changed, look))

    workers = min(_MOST_WORKERS, max(2, machine.count_processors()))
    for faces in map_ahead(lambda task: cut_out(task, network, keep_pixels=keep_pixels), tasks, workers=workers):
        queue.add(faces)
        if queue.is_full():
            queue.classify()
            yield from itertools.starmap(finish, queue.pop())
    queue.classify()
    yield from itertools.starmap(finish, queue.pop())


def _choose_batch_sizes(source: Source) -> tuple[int, ...]:
    if isinstance(source, int):
        return _BATCHES_OF_FEW
    one_file = isinstance(source, str | os.PathLike) and is_image_name(pathlib.Path(source).name)
    one_array = isinstance(source, np.ndarray) and source.ndim < 4
    return _BATCHES_OF_FEW if one_file or one_array or isinstance(source, bytes | Image.Image) else (_BATCH,)


class _Queue:
    """Pictures in order, whose faces wait for a full batch: of the first of `sizes`, or of the last where many wait."""

    def __init__(self, network: Classifier, views: str, sizes: tuple[int, ...]) -> None:
        self._network, self._views, self._sizes = network, views, sizes
        self._waiting: collections.deque[Faces] = collections.deque()
        self._inputs: list[np.ndarray] = []
        self._probabilities: list[Float32[np.ndarray, " k"]] = []  # of the first faces that wait

    def add(self, faces: Faces) -> None:
        self._waiting.append(faces)
        if faces.inputs is not None:
            self._inputs.extend(faces.inputs)

    def is_full(self) -> bool:
        """Say whether there is a batch of faces, or so many pictures that they should wait no longer."""
        kept_bytes = sum(faces.picture.pixels.size for faces in self._waiting if faces.picture.pixels is not None)
        return (
            len(self._inputs) >= self._sizes[0]
            or len(self._waiting) >= _MOST_WAITING
            or kept_bytes > _MOST_WAITING_BYTES
        )

    def classify(self) -> None:
        """Classify the full batches, or what there is where it does not fill one."""
        count = len(self._inputs) // self._sizes[0] * self._sizes[0] or len(self._inputs)
        if count:
            images = np.stack(self._inputs[:count])
            size = self._sizes[-1 if count > _MOST_ONE_BY_ONE else 0]
            self._probabilities.extend(self._network(images, views=self._views, batch_size=size))
            del self._inputs[:count]

    def pop(self) -> Iterator[tuple[Faces, Answer]]:
        """Yield the pictures whose answers are complete, with these."""
        while self._waiting and len(self._waiting[0].scores) <= len(self._probabilities):
            found = self._waiting.popleft()
            yield found, create_answer(found, [self._probabilities.pop(0) for _ in found.scores])


def create_answer(found: Faces, probabilities: Iterable[Float32[np.ndarray, " k"]]) -> Answer:
    """Put a picture's faces and what the network says of each of them together."""
    rows = zip(found.boxes, found.scores, probabilities, strict=True)
    return Answer(found.picture, tuple(Face(_round(box), float(score), row) for box, score, row in rows))


def _explain(found: Faces, answer: Answer, look: Look) -> Answer:
    """Give each face of a picture the overlay that `look` makes for its answer."""
    if not answer.faces:
        return answer
    overlays = look(found, np.stack([face.probabilities for face in answer.faces]))
    corners = [_round(place)[:2] for place in found.places]
    rows = zip(answer.faces, overlays, corners, strict=True)
    faces = (dataclasses.replace(face, overlay=drawn, overlay_at=corner) for face, drawn, corner in rows)
    return dataclasses.replace(answer, faces=tuple(faces))


def _round(box: np.ndarray) -> tuple[int, int, int, int]:
    left, top, width, height = (round(float(value)) for value in box)
    return left, top, width, height
