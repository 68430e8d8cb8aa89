"""The answers as other tools give them: the shapes, keys and class names of DeepFace, fer and Py-Feat."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# What a tool calls FER-2013's classes, where it is not what FER-2013 calls them.
_PYFEAT_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness"}


def _to_deepface(frame: "pd.DataFrame", classes: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Return a list for each picture of a dict for each face, as DeepFace.analyze does for a list of pictures.

    `emotion` is in percent.
    """
    return [
        [
            {
                "emotion": {name: 100 * face[f"p_{name}"] for name in classes},
                "dominant_emotion": face["label"],
                "region": {key: face[name] for key, name in zip("xywh", ("x", "y", "width", "height"), strict=True)},
                "face_confidence": face["detection"],
            }
            for face in faces
        ]
        for faces in _group(frame)
    ]


def _to_fer(frame: "pd.DataFrame", classes: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Return a list for each picture of a dict for each face, as fer's detect_emotions does for one picture."""
    return [
        [
            {
                "box": [face[name] for name in ("x", "y", "width", "height")],
                "emotions": {name: face[f"p_{name}"] for name in classes},
            }
            for face in faces
        ]
        for faces in _group(frame)
    ]


def _to_pyfeat(frame: "pd.DataFrame", classes: Sequence[str]) -> "pd.DataFrame":
    """Return a table with a row for each face, with Py-Feat's columns; a picture without faces has a row of nothing."""
    names = {
        "x": "FaceRectX",
        "y": "FaceRectY",
        "width": "FaceRectWidth",
        "height": "FaceRectHeight",
        "detection": "FaceScore",
        **{f"p_{name}": _PYFEAT_NAMES.get(name, name) for name in classes},
        "source": "input",
        "frame": "frame",
    }
    return frame[list(names)].rename(columns=names)


# By name. A layout has no place for a status: what could not be read has no faces.
LAYOUTS: Mapping[str, Callable[["pd.DataFrame", Sequence[str]], Any]] = MappingProxyType(
    {"deepface": _to_deepface, "fer": _to_fer, "pyfeat": _to_pyfeat}
)


def to_layout(frame: "pd.DataFrame", classes: Sequence[str], layout: str) -> Any:
    """Return a table of answers in another tool's layout, a name of LAYOUTS; raises ValueError for another name."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is not one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout](frame, classes)


def _group(frame: "pd.DataFrame") -> list[list[dict[str, Any]]]:
    """Return the faces of every picture, in order, with plain numbers; nothing is None."""
    pictures: list[list[dict[str, Any]]] = []
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        if not row["face"]:  # None or the first
            pictures.append([])
        if row["face"] is not None:
            pictures[-1].append({str(name): value for name, value in row.items()})
    return pictures
