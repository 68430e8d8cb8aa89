"""From pictures to rows: the published columns, true batches, every input accounted for."""

import dataclasses
import itertools
import re

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference import Counts, Options, list_columns, stream
from ferjax.inference.crops import RAISE, SIDE, add_margin, cut
from tests.inference.conftest import draw


def find(network, source, **options):
    # One batch size for all, since each compiles anew.
    return network.predict(source, **{"batch_size": 8, **options})


def test_the_columns_are_the_published_ones(network, finder):
    network = dataclasses.replace(network, unsure_below=0.0)
    frame = find(network, [draw((10, 20)), "no.jpg", draw()], detector=finder)
    assert list(frame.columns) == [
        *("source", "frame", "time_s", "face", "x", "y", "width", "height", "detection"),
        *("p_angry", "p_disgust", "p_fear", "p_happy", "p_sad", "p_surprise", "p_neutral"),
        *("label", "confidence", "status", "reason", "track"),
        *("smooth_angry", "smooth_disgust", "smooth_fear", "smooth_happy", "smooth_sad", "smooth_surprise"),
        *("smooth_neutral", "smooth_label"),
    ]
    assert frame.attrs["contract"] == 1
    assert frame["status"].tolist() == ["ok", "unreadable", "no_face"]
    face = frame.iloc[0]
    assert (face["x"], face["y"], face["width"], face["height"], face["detection"]) == (10, 20, 30, 30, 0.9)
    probabilities = face[[name for name in frame if name.startswith("p_")]].to_numpy(float)
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-6)
    assert face["label"] == network.classes[probabilities.argmax()]
    assert face["confidence"] == probabilities.max()
    # The types do not depend on what there is.
    assert frame.iloc[:0].dtypes.equals(find(network, [], detector=finder).dtypes)
    assert pd.isna(frame["face"]).tolist() == [False, True, True]
    assert frame["reason"].tolist()[1] == "there is no such file"


def test_a_ready_crop_gets_what_the_network_says(network, faces):
    rows, _ = faces
    images = rows.images[:5]
    frame = find(network, images, detect=False)
    np.testing.assert_array_equal(frame.filter(like="p_").to_numpy(np.float32), network(images, batch_size=8))
    assert frame["width"].tolist() == [48] * 5
    assert frame["detection"].isna().all()


def test_a_face_is_cut_with_its_margin_and_fitted_as_training_images_are(network, finder):
    picture = draw((60, 30))
    frame = find(network, picture, detector=finder)
    (place,) = add_margin(np.array([[60.0, 30.0, 30.0, 30.0]]))
    np.testing.assert_allclose(place, [75 - 15 * SIDE, 45 - 30 * RAISE - 15 * SIDE, 30 * SIDE, 30 * SIDE])
    expected = network(network.fit(cut(picture, place)[None]), batch_size=8)
    np.testing.assert_array_equal(frame.filter(like="p_").to_numpy(np.float32), expected)


def test_a_gray_picture_is_no_colour_however_narrow(network):
    narrow = np.arange(90, dtype=np.uint8).reshape(30, 3)
    frame = find(network, [Image.fromarray(narrow)], detect=False)
    expected = network(network.fit(narrow[None, :, :, None]), batch_size=8)
    np.testing.assert_array_equal(frame.filter(like="p_").to_numpy(np.float32), expected)


def test_a_crop_beyond_the_edge_goes_on_with_it():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(cut(picture, np.array([-1.0, 1.0, 3.0, 3.0])), [[4, 4, 5], [8, 8, 9], [8, 8, 9]])


def test_faces_of_several_pictures_fill_batches_of_one_shape(network, finder, monkeypatch):
    shapes = []
    call = type(network).__call__

    def count(self, images, **options):
        shapes.append((len(images), options["batch_size"]))
        return call(self, images, **options)

    monkeypatch.setattr(type(network), "__call__", count)
    pictures = [draw((10, 20), (60, 20), (110, 20)), draw(), draw((10, 20))] * 3
    one_by_one = [find(network, picture, detector=finder) for picture in pictures]
    shapes.clear()
    together = find(network, pictures, detector=finder, batch_size=8)
    assert shapes == [(8, 8), (4, 8)]
    columns = [name for name in together if name != "source"]
    pd.testing.assert_frame_equal(together[columns], pd.concat(one_by_one, ignore_index=True)[columns])
    assert together["source"].tolist() == [name for i in range(9) for name in [str(i)] * (3, 1, 1)[i % 3]]


@pytest.mark.parametrize(("faces", "size"), [(1, 1), (3, 1), (4, 8)])
def test_a_single_picture_does_not_wait_and_many_faces_of_it_are_one_batch(network, finder, monkeypatch, faces, size):
    sizes = []
    monkeypatch.setattr(
        type(network),
        "__call__",
        lambda self, images, **options: (
            sizes.append(options["batch_size"]) or np.full((len(images), 7), 1 / 7, np.float32)
        ),
    )
    network.predict(draw(*[(40 * number, 20) for number in range(faces)]), detector=finder)
    assert sizes == [size]


def test_an_endless_source_is_answered_as_it_comes(network, finder):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield draw((10, 20))

    answers = stream(network, endless(), Options(detector=finder, batch_size=8))
    first = [next(answers) for _ in range(20)]
    assert [answer.picture.source for answer in first] == [str(i) for i in range(20)]
    assert all(answer.picture.pixels is None for answer in first)
    assert len(taken) < 40


def test_pictures_without_faces_do_not_pile_up(network, finder):
    answers = stream(network, (draw() for _ in itertools.count()), Options(detector=finder, batch_size=8))
    assert next(answers).faces == ()


def test_boxes_of_the_caller_are_cut_as_they_are(network):
    picture = draw((10, 20), (100, 20))
    boxes = np.array([[10, 20, 30, 30], [100, 20, 30, 30]])
    expected = network(network.fit(np.stack([picture[20:50, 10:40], picture[20:50, 100:130]])), batch_size=8)
    for given in (boxes, boxes.tolist(), {"0": boxes}, [boxes], iter([boxes.tolist()])):
        frame = find(network, picture, boxes=given)
        np.testing.assert_array_equal(frame.filter(like="p_").to_numpy(np.float32), expected)
        assert frame["x"].tolist() == [10, 100]
    for none in ([[]], [], np.zeros((0, 4)), {"0": []}):
        assert find(network, picture, boxes=none)["status"].tolist() == ["no_face"]


@pytest.mark.parametrize(
    ("pictures", "boxes", "said"),
    [
        (2, [], "boxes has 0 lists of boxes, and there are more pictures: give one for each"),
        (2, [[]], "boxes has 1 list of boxes, and there are more pictures"),
        (2, [[], [], []], "boxes has 3 lists of boxes for 2 pictures: give one for each"),
        (1, {"other": []}, "boxes has none of 0"),
        (1, [[(10**400, 0, 5, 5)]], r"boxes\[0\] is .*: give"),
        (2, [None, None], r"boxes\[0\] is None: give"),
        (1, np.zeros((1, 3)), r"boxes is array\(\[\[0., 0., 0.\]\]\): give \[n, 4\]"),
        (2, [[], [(1, 2, 3)]], r"boxes\[1\] is \[\(1, 2, 3\)\]: give \[n, 4\]"),
        (1, {"0": "face"}, r"boxes\['0'\] is 'face': give"),
        (1, [[(1, 2, 3, 4), (1, 2)]], r"boxes\[0\] is .*: give"),
    ],
)
def test_boxes_of_another_form_or_number_are_refused(network, pictures, boxes, said):
    with pytest.raises(UserError, match=said):
        find(network, [draw((10, 20))] * pictures, boxes=boxes)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((-40, 0, 30, 30), r"the box \[-40.0, 0.0, 30.0, 30.0\] given for it does not fit its 160x90 pixels"),
        ((0, 5000, 30, 30), "does not fit"),
        ((0, 0, 1e9, 1e9), "does not fit"),
        (
            (1, 1, -4, 4),
            r"the box \[1.0, 1.0, -4.0, 4.0\] given for it is none: its width and height must be 1 or more",
        ),
        ((1, 1, 0, 4), "must be 1 or more"),
        ((1, np.nan, 4, 4), "is none"),
        ((1, 1, 0.1, 4), "must be 1 or more"),
        ((1e308, 1e308, 1e308, 1e308), "does not fit"),
    ],
)
def test_a_bad_box_costs_only_its_picture(network, box, said):
    network, good = dataclasses.replace(network, unsure_below=0.0), [(10, 20, 30, 30)]
    frame = find(network, [draw((10, 20))] * 3, boxes=[good, [*good, box], good])
    assert frame["status"].tolist() == ["ok", "unreadable", "ok"]
    assert re.search(said, frame["reason"][1])


def test_boxes_may_be_an_array_of_another_library(network):
    assert find(network, draw((10, 20)), boxes=jnp.array([[10, 20, 30, 30]]))["x"].tolist() == [10]
    assert find(network, draw((10, 20)), boxes=pd.DataFrame([[10, 20, 30, 30]]))["x"].tolist() == [10]


def test_a_batch_of_nothing_is_refused(network):
    for size in (0, -1):
        with pytest.raises(UserError, match=f"batch_size={size}: give a whole number"):
            find(network, draw((10, 20)), batch_size=size)
        with pytest.raises(ValueError, match=f"batch_size={size}"):
            network(draw(), batch_size=size)


def test_an_endless_row_of_boxes_is_no_mistake(network):
    frame = find(network, [draw((10, 20))] * 2, boxes=itertools.repeat([(10, 20, 30, 30)]))
    assert len(frame) == 2


def test_an_unsure_answer_keeps_its_label(network, finder):
    frame = find(dataclasses.replace(network, unsure_below=1.0), draw((10, 20)), detector=finder)
    assert frame["status"].tolist() == ["unsure"]
    assert frame["label"].tolist()[0] in network.classes


def test_a_video_has_a_row_for_every_face_with_its_track(network, finder, video_file):
    frame = find(network, video_file, detector=finder)
    assert frame["frame"].tolist() == [*range(10), *np.repeat(np.arange(10, 20), 2)]
    assert frame["track"].tolist() == [0] * 10 + [0, 1] * 10
    assert frame.attrs["frames"] == {str(video_file): 20}
    smooth = frame.filter(like="smooth_").drop(columns="smooth_label").to_numpy(float)
    np.testing.assert_allclose(smooth.sum(axis=1), 1, atol=1e-5)
    third = find(network, str(video_file), detector=finder, stride=3)
    assert third["frame"].unique().tolist() == list(range(0, 20, 3))
    assert third.attrs["skipped"] == {str(video_file): 13}
    raw = frame.filter(like="p_").to_numpy(float)
    np.testing.assert_allclose(smooth[0], raw[0], atol=1e-6)
    assert np.abs(np.diff(smooth[:10], axis=0)).sum() < np.abs(np.diff(raw[:10], axis=0)).sum()


def test_pixels_are_kept_where_they_are_asked_for(network, finder):
    picture = draw((10, 20))
    (answer,) = stream(network, picture, Options(detector=finder), counts=Counts(), keep_pixels=True)
    np.testing.assert_array_equal(answer.picture.pixels, picture)


def test_a_stride_of_nothing_is_refused(network):
    with pytest.raises(UserError, match="stride=0"):
        find(network, draw(), stride=0)


def test_detect_is_true_or_false(network):
    options = Options()
    object.__setattr__(options, "detect", "no")  # past the types, which are checked in tests alone
    with pytest.raises(UserError, match="detect='no': give True or False"):
        list(stream(network, draw(), options))


def test_columns_carry_the_classes_of_the_network():
    assert list_columns(("bored", "curious"))[9:11] == ("p_bored", "p_curious")
