"""The shapes of other tools."""

import json

import numpy as np
import pytest

from ferjax.inference import to_frame, to_layout, to_rows
from ferjax.inference.answers import Answer, Face
from ferjax.inference.pictures import Picture

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
ROW = np.array([0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1], np.float32)


@pytest.fixture
def frame():
    face = Face((1, 2, 30, 40), 0.9, ROW)
    answers = (
        Answer(Picture("a.jpg"), (face, face)),
        Answer(Picture("a.jpg"), (face,)),
        Answer(Picture("b.jpg")),
        Answer(Picture("c.jpg", reason="broken")),
    )
    return to_frame((row for answer in answers for row in to_rows(answer, CLASSES, 0.0)), CLASSES)


def test_deepface(frame):
    shaped = to_layout(frame, CLASSES, "deepface")
    assert [len(faces) for faces in shaped] == [2, 1, 0, 0]
    face = shaped[0][0]
    assert face["dominant_emotion"] == "happy"
    assert face["region"] == {"x": 1, "y": 2, "w": 30, "h": 40}
    assert list(face["emotion"]) == list(CLASSES)
    assert sum(face["emotion"].values()) == pytest.approx(100, abs=1e-4)
    json.dumps(shaped)


def test_fer(frame):
    shaped = to_layout(frame, CLASSES, "fer")
    assert shaped[1][0]["box"] == [1, 2, 30, 40]
    assert shaped[1][0]["emotions"]["happy"] == pytest.approx(0.4)
    json.dumps(shaped)


def test_pyfeat(frame):
    shaped = to_layout(frame, CLASSES, "pyfeat")
    assert list(shaped.columns) == [
        *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
        *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "input", "frame"),
    ]
    assert len(shaped) == 5


def test_an_unknown_layout_is_refused(frame):
    with pytest.raises(ValueError, match="deepface, fer, pyfeat"):
        to_layout(frame, CLASSES, "libreface")
