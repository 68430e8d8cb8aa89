"""Copies are found as an exhaustive search in float64 finds them, and training can do without them."""

import os
import time

import numpy as np
import pytest

from ferjax.data import copied_rows, duplicates, load, read, split
from ferjax.data.cache import cache_dir
from ferjax.data.datasets.fer2013 import FORM
from ferjax.data.duplicates import THRESHOLD, drop_copies, find_near, group_copies, number_images, search
from ferjax.errors import UserError
from ferjax.workdir import describe_data


def search_exhaustively(pixels, floor):
    """{(first, second): (correlation, mirrored)} of every pair, in float64."""
    found = {}
    for i in range(len(pixels)):
        for j in range(i + 1, len(pixels)):
            both = []
            for view in (pixels[j], pixels[j][:, ::-1]):
                x, y = (image.astype(float).ravel() - image.mean() for image in (pixels[i], view))
                length = np.linalg.norm(x) * np.linalg.norm(y)
                both.append(x @ y / length if length > 1e-6 else 0.0)
            if max(both) >= floor:
                found[i, j] = (max(both), both[1] > both[0])
    return found


@pytest.fixture(scope="module")
def mixture(draw, blend):
    """Smooth and sharp images with blends of every strength, mirrored ones among them, and two flat images."""
    smooth, sharp = draw(16), draw(8, seed=1, sharpness_px=0.4)
    shares = np.linspace(0.02, 0.6, 12)
    blends = [blend(smooth[i], smooth[i + 1], share) for i, share in enumerate(shares)]
    blends += [blend(sharp[i % 4], sharp[i % 4 + 4], share)[:, :: 1 - 2 * (i % 2)] for i, share in enumerate(shares)]
    flat = np.stack([np.full((48, 48, 1), level, np.uint8) for level in (0, 201)])
    return np.concatenate([smooth, sharp, np.stack(blends), flat])


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("floor", [0.6, 0.92])
def test_the_search_equals_the_exhaustive_one(mixture, monkeypatch, block, floor):
    monkeypatch.setattr(duplicates, "_BLOCK_IMAGES", block)
    found, expected = search(mixture, floor), search_exhaustively(mixture, floor)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == list(expected)
    np.testing.assert_allclose(found.correlation, [value for value, _ in expected.values()], atol=1e-5)
    assert found.mirrored.tolist() == [mirrored for _, mirrored in expected.values()]
    assert 0 < found.mirrored.sum() < len(found)


def test_light_contrast_and_mirror_do_not_hide_a_copy(draw):
    image, other = draw(2)
    pixels = np.stack([image, other, image // 2 + 90, image[:, ::-1], np.zeros_like(image)])
    found = search(pixels)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 2), (0, 3), (2, 3)]
    assert (found.correlation > 0.999).all()
    assert found.mirrored.tolist() == [False, True, True]


def test_an_image_is_no_copy_of_itself(draw):
    assert len(search(draw(1))) == 0


def test_exact_copies_have_the_number_of_their_first_row(draw):
    image, other = draw(2)
    nearly = image.copy()
    nearly[47, 47] ^= 1
    assert number_images(np.stack([image, other, nearly, image, other, image])).tolist() == [0, 1, 2, 0, 1, 0]


@pytest.fixture
def chain(draw, blend):
    """Rows 0, 1, 2 each a near copy of the next but 0 not of 2; 3 is row 1 again; 4 is unrelated."""
    image, noise, other = draw(3)
    steps = [blend(image, noise, share) for share in (0.0, 0.2, 0.37)]
    pixels = np.stack([*steps, steps[1], other])
    expected = search_exhaustively(pixels[:3], 0)
    assert expected[0, 1][0] >= THRESHOLD
    assert expected[1, 2][0] >= THRESHOLD
    assert expected[0, 2][0] < THRESHOLD - 0.02
    return pixels


def test_groups_are_chains_of_copies(chain):
    images, pairs = number_images(chain), find_near(chain)
    assert group_copies(images, pairs).tolist() == [0, 0, 0, 0, 1]
    assert group_copies(images, pairs, threshold=1.0).tolist() == [0, 1, 2, 1, 3]


def test_near_copies_are_searched_once(chain, monkeypatch, caplog):
    first = find_near(chain)
    assert first.second.max() == 2  # an exact copy is searched once, under its first row
    monkeypatch.setattr(duplicates, "search", None)
    again = find_near(chain)
    for name in ("first", "second", "correlation", "mirrored"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert getattr(first, name).dtype == getattr(again, name).dtype
    with pytest.raises(TypeError):
        find_near(chain[:3])
    (file,) = (cache_dir() / "data").glob("near-*.npz")
    for damage in (lambda data: data[:-30], lambda data: data[:150] + b"\0\0" + data[152:], lambda data: b""):
        data = file.read_bytes()
        file.write_bytes(damage(data))
        monkeypatch.setattr(duplicates, "search", search)
        caplog.clear()
        np.testing.assert_array_equal(find_near(chain).correlation, first.correlation)
        assert "is damaged, so it is made anew" in caplog.text
        assert file.read_bytes() == data


@pytest.fixture
def leaky(draw, blend):
    """Training rows 0..7 of which 0 is in validation, 1 and 2 in test; 3 is nearly in validation, 4 in training."""
    images = draw(9)
    held_out = [images[0], images[1], blend(images[3], images[8], 0.15), images[7][:, ::-1]]
    pixels = np.concatenate([images[:2], images[1:2], images[3:5], images[4:5], images[6:8], np.stack(held_out)])
    usage = np.array([0] * 8 + [1, 2, 1, 2], np.uint8)
    return FORM.create_rows(pixels, np.arange(12, dtype=np.int32) % 7, usage)


def test_copied_rows_and_data_json(leaky):
    splits = split(leaky)
    found = copied_rows(leaky, splits)
    assert {name: index.tolist() for name, index in found.items()} == {"validation": [8], "test": [9]}
    about = describe_data(leaky, splits)
    assert about["copies"] == {"validation": [8], "test": [9]}
    assert about["classes"] == list(leaky.classes)
    assert about["counts"]["train"] == [2, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("dedup", "kept", "note"),
    [
        ("none", [0, 1, 2, 3, 4, 5, 6, 7], None),
        ("exact", [3, 4, 5, 6, 7], "left 3 of 8 training rows out, which have an exact copy in validation or test"),
        (
            "near",
            [4, 5, 6],
            "left 5 of 8 training rows out, which have an exact or near copy (correlation 0.92 or more)",
        ),
    ],
)
def test_training_goes_without_what_is_held_out(leaky, dedup, kept, note):
    rows, splits = drop_copies(leaky, split(leaky), dedup)
    assert splits["train"].tolist() == kept
    assert (splits["validation"].tolist(), splits["test"].tolist()) == ([8, 10], [9, 11])
    assert len(rows) == len(leaky)
    assert [text.startswith(note) for text in rows.notes] == ([] if note is None else [True])
    if dedup != "none":
        assert not any(len(index) for index in copied_rows(rows, splits).values())


def test_no_training_row_left_and_unknown_word(leaky):
    splits = {**split(leaky), "train": np.array([0, 1])}
    with pytest.raises(UserError, match=r"Every one of the 2 training rows has an exact copy .* data\.dedup 'none'"):
        drop_copies(leaky, splits, "exact")
    with pytest.raises(UserError, match=r"data\.dedup is 'all': choose one of none, exact, near"):
        drop_copies(leaky, splits, "all")


def test_load_leaves_copies_out_under_either_split(tmp_path, leaky, csv_text):
    path = tmp_path / "fer2013.csv"
    path.write_text(csv_text(leaky))
    keys = {"path": str(path), "split_seed": 0, "on_bad_row": "error", "synthetic_rows": 70}
    assert load(split="official", dedup="exact", **keys)[1]["train"].tolist() == [3, 4, 5, 6, 7]
    rows, splits = load(split="stratified", dedup="near", **keys)
    group = group_copies(number_images(rows.images), find_near(rows.images))
    assert not np.isin(group[splits["train"]], group[np.concatenate([splits["validation"], splits["test"]])]).any()
    assert len(splits["train"]) < len(load(split="stratified", **keys)[1]["train"])


@pytest.mark.real_data
def test_real_copies_are_those_of_the_data_sets_readme():
    rows = read(os.environ["FER2013"])
    splits = split(rows)
    times = []
    for _ in range(3):  # the best, as others may be using the machine
        start = time.perf_counter()
        found = copied_rows(rows, splits)
        times.append(time.perf_counter() - start)
    assert len(found["validation"]) == 280
    assert len(found["test"]) == (288 if len(splits["test"]) else 0)
    assert min(times) < 0.3
