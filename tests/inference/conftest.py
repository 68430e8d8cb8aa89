"""Pictures with drawn faces, and a detector that finds them: bright squares on black."""

import numpy as np
import pytest

from ferjax.inference.detectors import Detections


class SquareFinder:
    """Finds squares whose levels are over 100, from left to right; it counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        columns = np.nonzero((image[..., 0] > 100).any(axis=0))[0]
        parts = np.split(columns, np.nonzero(np.diff(columns) > 1)[0] + 1) if len(columns) else []
        boxes = []
        for part in parts:
            rows = np.nonzero((image[:, part[0] : part[-1] + 1, 0] > 100).any(axis=1))[0]
            boxes.append([part[0], rows[0], part[-1] - part[0] + 1, rows[-1] - rows[0] + 1])
        scores = np.full(len(boxes), 0.9, np.float32)
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), scores)


@pytest.fixture
def finder():
    return SquareFinder()


def draw(*squares, size=(90, 160)):
    """A picture, [h, w, 3], with a square of 30 pixels at each (x, y), whose levels tell them apart."""
    image = np.zeros((*size, 3), np.uint8)
    for number, (x, y) in enumerate(squares):
        image[y : y + 30, x : x + 30] = 120 + 20 * number
    return image


@pytest.fixture(scope="session")
def video_file(tmp_path_factory):
    """A video of 20 frames at 10 a second: one face moves right, another comes at the tenth frame."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("video") / "talk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if "libx264" in av.codecs_available else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for number in range(20):
            squares = [(10 + 2 * number, 20)] + [(110, 40)] * (number >= 10)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(*squares), format="rgb24")))
        container.mux(stream.encode(None))
    return path
