"""Faces that go on from frame to frame."""

import math

import numpy as np
import pytest

from ferjax.inference.answers import Answer, Face
from ferjax.inference.pictures import Picture
from ferjax.inference.tracks import Tracker, find_overlaps


def answer(time_s, *faces, source="a.mp4", moving=True):
    made = [Face(box, 0.9, np.array(row, np.float32)) for box, row in faces]
    return Answer(Picture(source, frame=0, time_s=time_s, moving=moving), tuple(made))


LEFT, RIGHT = (10, 10, 40, 40), (100, 10, 40, 40)
SAD, HAPPY = [1.0, 0.0], [0.0, 1.0]


def tracks(result):
    return [face.track for face in result.faces]


def test_faces_keep_their_numbers_in_any_order():
    tracker = Tracker()
    assert tracks(tracker.follow(answer(0.0, (LEFT, SAD), (RIGHT, HAPPY)))) == [0, 1]
    assert tracks(tracker.follow(answer(0.04, ((105, 12, 40, 40), HAPPY), ((15, 10, 40, 40), SAD)))) == [1, 0]


def test_a_face_that_was_away_for_long_is_another_one():
    tracker = Tracker()
    tracker.follow(answer(0.0, (LEFT, SAD)))
    assert tracks(tracker.follow(answer(0.9, (LEFT, SAD)))) == [0]
    assert tracks(tracker.follow(answer(2.0, (LEFT, SAD)))) == [1]


def test_each_video_counts_from_nought_and_pictures_have_no_tracks():
    tracker = Tracker()
    tracker.follow(answer(0.0, (LEFT, SAD), (RIGHT, SAD)))
    assert tracks(tracker.follow(answer(0.0, (RIGHT, SAD), source="b.mp4"))) == [0]
    still = answer(0.0, (LEFT, SAD), moving=False)
    assert tracker.follow(still) is still


def test_smoothing_depends_on_time_and_not_on_the_number_of_frames():
    results = []
    for step_s in (0.1, 0.5):
        tracker = Tracker(memory_s=0.5)
        tracker.follow(answer(0.0, (LEFT, SAD)))
        for number in range(1, round(1 / step_s) + 1):
            result = tracker.follow(answer(number * step_s, (LEFT, HAPPY)))
        assert result.faces[0].probabilities.tolist() == HAPPY
        results.append(result.faces[0].smooth)
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    assert results[0][0] == pytest.approx(math.exp(-2), abs=1e-5)


def test_overlaps():
    boxes = np.array([[0.0, 0.0, 2.0, 2.0], [10.0, 0.0, 2.0, 2.0]])
    others = np.array([[1.0, 0.0, 2.0, 2.0]])
    np.testing.assert_allclose(find_overlaps(boxes, others), [[1 / 3], [0.0]])
