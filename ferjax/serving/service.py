"""From uploaded files to the answer: decoded and searched in threads, classified together with other requests."""

import asyncio
import base64
import functools
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ferjax import machine
from ferjax.inference import CONTRACT, crops, detectors, list_columns, to_rows
from ferjax.inference.faces import Faces, create_tasks, cut_out
from ferjax.inference.pictures import Picture
from ferjax.inference.pipeline import create_answer
from ferjax.network import Network
from ferjax.serving.batches import Batches, Result
from ferjax.serving.decoding import decode
from ferjax.serving.limits import Limits
from ferjax.serving.measures import Measures
from ferjax.serving.refusal import Refusal
from ferjax.serving.turns import Turns
from ferjax.serving.uploads import Upload
from ferjax.serving.wishes import Wishes

_MOST_TOLD = 3  # pictures whose reasons a refusal gives


class Found(NamedTuple):
    """The faces of an uploaded picture, its size, its faces' crops where they are wanted, and its status of HTTP."""

    faces: Faces
    size: tuple[int, int] | None
    crops: Sequence[np.ndarray]
    status: int


class Service:
    """Answers requests with one network. `wait_s` is how long a face waits at most for others on their way."""

    def __init__(
        self,
        network: Network,
        *,
        limits: Limits,
        measures: Measures,
        detector: "str | detectors.Detector | None" = None,
        wait_s: float = 0.04,
    ) -> None:
        self.network, self._limits, self._measures = network, limits, measures
        self._detector = detectors.create(detector) if detector is None or isinstance(detector, str) else detector
        self.batches = Batches(network, wait_s=wait_s, watch=measures.batches.observe)
        self._turns = Turns(machine.count_processors())

    def start(self) -> None:
        """Compile, and begin to work."""
        self._turns.start()
        self.batches.start()

    def drop(self, refusal: Refusal) -> None:
        """Refuse the pictures that no thread has begun."""
        self._turns.drop(refusal)

    def stop(self) -> None:
        """Finish what has been begun."""
        self._turns.stop()
        self.batches.stop()

    async def answer(self, uploads: Sequence[Upload], wishes: Wishes) -> dict[str, Any]:
        """Return what is said of each picture, as JSON has it. Raises Refusal where none of them can be read."""
        with self.batches.expect() as submit:
            found = await self._find_all(uploads, wishes)
            inputs = [one.faces.inputs for one in found if one.faces.inputs is not None]
            future = submit(np.concatenate(inputs), wishes.views, wishes.explain) if inputs else None
        classes = self.network.classes
        result = Result(np.zeros((0, len(classes)), np.float32), None)
        if future is not None:
            result = await asyncio.wrap_future(future)
        self._count(found)
        pictures, first = [], 0
        for one in found:
            own = slice(first, first + len(one.faces.scores))
            first = own.stop
            pictures.append(self._describe(one, result, own))
        if wishes.explain != "none":
            crops_of_all = [crop for one in found for crop in one.crops]
            maps = () if result.maps is None else result.maps
            drawn = iter(await self._turns.map(_draw, list(zip(crops_of_all, maps, strict=True))))
            for picture, one in zip(pictures, found, strict=True):
                picture["explanations"] = [next(drawn) for _ in one.crops]
        return {
            "contract": CONTRACT,
            "classes": list(classes),
            "unsure_below": self.network.unsure_below,
            "pictures": pictures,
        }

    async def _find_all(self, uploads: Sequence[Upload], wishes: Wishes) -> list[Found]:
        """Decode the pictures and find their faces. Raises Refusal where none of them can be read."""
        found = await self._turns.map(functools.partial(self._find, wishes=wishes), uploads)
        if all(one.status != 200 for one in found):
            raise Refusal(found[0].status, _describe_unread([one.faces.picture for one in found]))
        return found

    def _find(self, upload: Upload, *, wishes: Wishes) -> Found:
        picture, status = decode(upload, self._limits)
        (task,) = create_tasks([lambda: picture], detect=wishes.detect, boxes=None, detector=self._detector)
        faces = cut_out(task, self.network, keep_pixels=False)
        if picture.pixels is None:
            return Found(faces, None, (), status)
        size = (picture.pixels.shape[1], picture.pixels.shape[0])
        wanted: list[np.ndarray] = []
        if wishes.explain != "none":
            wanted = [crops.cut(picture.pixels, place).copy() for place in faces.places]
        return Found(faces, size, wanted, status)

    def _describe(self, one: Found, result: Result, own: slice) -> dict[str, Any]:
        answer = create_answer(one.faces, result.probabilities[own])
        columns = list_columns(self.network.classes)
        rows = to_rows(answer, self.network.classes, self.network.unsure_below)
        width, height = one.size or (None, None)
        return {
            "source": answer.picture.source,
            "width": width,
            "height": height,
            "rows": [dict(zip(columns, row, strict=True)) for row in rows],
        }

    def _count(self, found: Sequence[Found]) -> None:
        for one in found:
            self._measures.pictures.labels("read" if one.status == 200 else "unreadable").inc()
            self._measures.faces.inc(len(one.faces.scores))


def _describe_unread(pictures: Sequence[Picture]) -> str:
    """Say of each of the pictures, by its name, why it cannot be read; none of them can."""
    first, *others = pictures
    if not others:
        # What has no name is called by its number.
        return f"The upload{'' if first.source == '0' else f' {first.source}'} is {first.reason}."
    told = [f"{picture.source} is {picture.reason}" for picture in pictures[:_MOST_TOLD]]
    if len(pictures) > _MOST_TOLD:
        told.append(f"and {len(pictures) - _MOST_TOLD} more")
    return f"None of the {len(pictures)} pictures can be read: {'; '.join(told)}."


def _draw(face: tuple[np.ndarray, np.ndarray]) -> str:
    """Lay a map over its face; return that as an address with the picture in it."""
    from ferjax.explain import overlay

    crop, values = face
    file = io.BytesIO()
    image = Image.fromarray(crop)
    image.thumbnail((288, 288))
    Image.fromarray(overlay(np.asarray(image), values, signed=False, least_side_px=192)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
