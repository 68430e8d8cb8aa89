"""What is answered for a picture: its faces, each with its probabilities, and their rows in the published columns."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

from ferjax.documents.words import to_line
from ferjax.inference.pictures import Picture

if TYPE_CHECKING:
    import pandas as pd

# The version of the columns, of docs/predict.md: another order, name or meaning is another version.
CONTRACT = 1

Status: TypeAlias = Literal["ok", "no_face", "unsure", "unreadable"]
Row: TypeAlias = tuple[Any, ...]

_PLACE = ("source", "frame", "time_s", "face", "x", "y", "width", "height", "detection")
_ANSWER = ("label", "confidence", "status", "reason", "track")
_WHOLE = ("frame", "face", "x", "y", "width", "height", "track")
_WORDS = ("source", "label", "status", "reason", "smooth_label")


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One face, and what the network says of it.

    `box` is x, y, width and height in pixels of the upright picture, as the detector or the caller gave it; `detection`
    is how sure the detector is, 0..1, nan where none was asked. `track` is the number of a face that goes on from frame
    to frame of a video, and `smooth` its probabilities smoothed over time. `overlay` is a picture of where the answer
    comes from, laid over what was cut out at `overlay_at` (x, y), where that was asked for.
    """

    box: tuple[int, int, int, int]
    detection: float
    probabilities: Float32[np.ndarray, " k"]
    track: int | None = None
    smooth: Float32[np.ndarray, " k"] | None = None
    overlay: UInt8[np.ndarray, "h w 3"] | None = None
    overlay_at: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """A picture and its faces. The picture has no pixels where nobody asked to keep them."""

    picture: Picture
    faces: tuple[Face, ...] = ()

    @property
    def readable(self) -> bool:
        return not self.picture.reason


def list_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the answers of a network with these classes, in order."""
    smooth = (*(f"smooth_{name}" for name in classes), "smooth_label")
    return (*_PLACE, *(f"p_{name}" for name in classes), *_ANSWER, *smooth)


def to_rows(answer: Answer, classes: Sequence[str], unsure_below: float) -> Iterator[Row]:
    """Yield a row for each face, or one for a picture without faces; what a row does not have is None."""
    picture, none = answer.picture, (None,) * len(classes)
    place = (picture.source, picture.frame, picture.time_s)
    if not answer.faces:
        status: Status = "unreadable" if picture.reason else "no_face"
        tail = (None, None, status, picture.reason or None, None, *none, None)
        yield (*place, *(None,) * 6, *none, *tail)
    for number, face in enumerate(answer.faces):
        best = int(face.probabilities.argmax())
        confidence = float(face.probabilities[best])
        status = "unsure" if confidence < unsure_below else "ok"
        detection = None if math.isnan(face.detection) else face.detection
        smooth = none if face.smooth is None else tuple(map(float, face.smooth))
        smooth_label = None if face.smooth is None else classes[int(face.smooth.argmax())]
        yield (
            *(*place, number, *face.box, detection),
            *map(float, face.probabilities),
            *(classes[best], confidence, status, None, face.track),
            *(*smooth, smooth_label),
        )


def to_frame(rows: Iterable[Row], classes: Sequence[str]) -> "pd.DataFrame":
    """Return rows as a table with the published columns and their types, whatever of them is empty.

    A file name that is not UTF-8 keeps its bytes as escapes.
    """
    import pandas as pd

    told = [(row[0].encode("utf-8", "backslashreplace").decode(), *row[1:]) for row in rows]
    names = list_columns(classes)
    columns = zip(*told, strict=True) if told else ((),) * len(names)
    arrays = {
        name: pd.array(list(values), dtype=_choose_kind(name)) for name, values in zip(names, columns, strict=True)
    }
    # Column by column: to convert a whole table takes as long as finding the face.
    return pd.DataFrame(arrays, copy=False)


def _choose_kind(column: str) -> Any:
    return "Int64" if column in _WHOLE else "string" if column in _WORDS else "float64"


def describe_place(picture: Picture) -> str:
    """Say in words, on one line, which picture it is."""
    source = to_line(picture.source)
    if picture.frame is None:
        return source
    time = "" if picture.time_s is None else f" at {picture.time_s:.2f} s"
    return f"{source}, frame {picture.frame}{time}"


def describe_faces(answer: Answer, classes: Sequence[str], unsure_below: float = 0.0) -> str:
    """Say in words what was found: the label of each face with its probability, or why there is none.

    Of a face that goes on over frames, the label is that of the smoothed probabilities. A label less probable than
    `unsure_below` is called unsure.
    """
    if not answer.readable:
        return answer.picture.reason
    shown = [face.probabilities if face.smooth is None else face.smooth for face in answer.faces]
    best = [(row, int(row.argmax())) for row in shown]
    words = (f"{classes[k]} {row[k]:.0%}" + (" (unsure)" if row[k] < unsure_below else "") for row, k in best)
    return ", ".join(words) or "no face"
