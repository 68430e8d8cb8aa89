"""Image folders as people have them: names, sizes, modes, order, junk and damage."""

import io

import numpy as np
import pytest
from PIL import Image

from ferjax.data import read
from ferjax.errors import UserError


def _png(array, mode=None, size=None, form="png"):
    image = Image.fromarray(array)
    if mode:
        image = image.convert(mode)
    if size:
        image = image.resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


FLAT = np.full((48, 48), 77, np.uint8)


def _error(path):
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_the_folder_equals_the_csv(tmp_path, rows, image_files, write_tree, same):
    found = read(write_tree(tmp_path / "faces", image_files(rows)))
    same(rows, found)
    assert found.notes == ("rows are in order of the numbers in the file names",)


@pytest.mark.parametrize(
    ("name", "emotion", "usage"),
    [
        ("train/angry/Training_1.jpg", 0, 0),
        ("Training/Disgusted/im1.png", 1, 0),
        ("x/TRAIN/fearful/a1.png", 2, 0),
        ("val/happiness/1.png", 3, 1),
        ("valid/4/1.png", 4, 1),
        ("validation/surprised/1.png", 5, 1),
        ("PublicTest/Neutral/1.png", 6, 1),
        ("test/anger/PublicTest_1.png", 0, 1),
        ("test/fear/PrivateTest_1.png", 2, 2),
        ("test/fear/Training_1.png", 2, 2),
        ("test/afraid/1.png", 2, 2),
        ("private_test/sadness/1.png", 4, 2),
        ("happy/PublicTest_5.png", 3, 1),
    ],
)
def test_names_give_class_and_usage(tmp_path, write_tree, name, emotion, usage):
    found = read(write_tree(tmp_path / "faces", {name: _png(FLAT)}))
    assert (found.labels.tolist(), found.usage.tolist()) == ([emotion], [usage])
    assumed = any("for PrivateTest" in note for note in found.notes)
    assert assumed == (name == "test/afraid/1.png")


def test_order_is_by_number_only_if_each_is_unique(tmp_path, write_tree):
    images = {
        f"train/{label}/Training_{n}.png": _png(FLAT + np.uint8(n))
        for n, label in [(10, "angry"), (2, "sad"), (9, "happy")]
    }
    found = read(write_tree(tmp_path / "numbered", images))
    assert found.images[:, 0, 0, 0].tolist() == [79, 86, 87]
    found = read(write_tree(tmp_path / "clash", {**images, "val/sad/2.png": _png(FLAT)}))
    assert found.images[:, 0, 0, 0].tolist() == [87, 86, 79, 77]
    assert "rows are in order of the file paths" in found.notes


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "CMYK", "I", "F", "L"])
@pytest.mark.parametrize("size", [None, (96, 96), (30, 64)])
def test_any_mode_and_size_gives_the_gray_level(tmp_path, write_tree, mode, size):
    level = np.full((48, 48), 255, np.uint8)
    form = "tiff" if mode in ("CMYK", "I", "F") else "png"
    found = read(write_tree(tmp_path / "faces", {"train/sad/1.png": _png(level, mode, size, form)}))

    np.testing.assert_array_equal(found.images[0, :, :, 0], level)
    resized = "resized 1 image to 48x48, from {}x{}".format(*(size or (48, 48)))
    assert (resized in found.notes) == (size is not None)
    assert (f"turned 1 image gray, from mode {mode}" in found.notes) == (mode != "L")


def test_sixteen_bits_are_scaled(tmp_path, write_tree):
    deep = np.full((48, 48), 0x8080, np.uint16)
    found = read(write_tree(tmp_path / "faces", {"train/sad/1.png": _png(deep)}))
    np.testing.assert_array_equal(found.images[0, :, :, 0], np.full((48, 48), 0x80, np.uint8))


def test_desktop_junk_is_ignored_and_the_rest_is_noted(tmp_path, write_tree):
    files = {
        "train/sad/1.png": _png(FLAT),
        "train/.DS_Store": b"\0\0\0\1Bud1",
        "train/sad/._1.png": b"\0\5\26\7",
        "train/sad/Thumbs.db": b"\xd0\xcf",
        "__MACOSX/train/sad/1.png": b"junk",
    }
    assert len(read(write_tree(tmp_path / "faces", files)).notes) == 1
    found = read(write_tree(tmp_path / "faces", {"README.md": b"# Faces", "train/list.bin": b"\0\1"}))
    assert "left aside what is no image: README.md, train/list.bin" in found.notes


def test_an_image_without_a_suffix_is_an_image(tmp_path, write_tree):
    assert len(read(write_tree(tmp_path / "faces", {"train/sad/face": _png(FLAT)}))) == 1


DAMAGE = {
    "truncated": (lambda data: data[: len(data) // 2], "not a readable image"),
    "not an image": (lambda data: b"hello", "not a readable image (unknown format)"),
    "empty": (lambda data: b"", "an empty file, not an image"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_damaged_image_is_named_or_skipped(tmp_path, make_rows, write_tree, damage, form):
    change, reason = DAMAGE[damage]
    noise = make_rows(n=3).images[..., 0]
    files = {f"train/sad/Training_{n}.jpg": _png(noise[n], form=form) for n in range(3)}
    files["train/sad/Training_1.jpg"] = change(files["train/sad/Training_1.jpg"])
    path = write_tree(tmp_path / "faces", files)
    message = _error(path)
    assert message.startswith(f"{path}, train/sad/Training_1.jpg: {reason}")
    assert "data.on_bad_row=skip" in message
    found = read(path, "skip")
    assert len(found) == 2
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith(f"train/sad/Training_1.jpg: {reason}")


def test_misplaced_images_are_named(tmp_path, write_tree):
    path = write_tree(tmp_path / "contempt", {"train/contempt/1.png": _png(FLAT), "train/sad/2.png": _png(FLAT)})
    assert f"{path}, train/contempt/1.png: 'contempt' is no class folder (angry, disgust," in _error(path)
    assert read(path, "skip").skipped[0].startswith("train/contempt/1.png: 'contempt' is no class folder")
    path = write_tree(tmp_path / "loose", {"1.png": _png(FLAT)})
    assert "1.png: not in a class folder (angry" in _error(path)
    path = write_tree(tmp_path / "half_split", {"sad/1.png": _png(FLAT), "train/sad/2.png": _png(FLAT)})
    assert "sad/1.png: neither under a train, validation or test folder" in _error(path)
    path = write_tree(tmp_path / "broken", {"sad/1.png": b"no image"})
    with pytest.raises(UserError, match=r"has no readable image among 1, the first being sad/1\.png"):
        read(path, "skip")


def test_an_empty_folder(tmp_path):
    (tmp_path / "faces").mkdir()
    assert "holds no files" in _error(tmp_path / "faces")


@pytest.mark.parametrize(
    ("levels", "dtype", "gray"),
    [
        (0.5, np.float32, 128),
        (128.0, np.float32, 128),
        (128, np.int32, 128),
        (32896, np.int32, 128),
        (32896, np.uint16, 128),
    ],
)
def test_deep_images_are_scaled_by_their_range(tmp_path, write_tree, levels, dtype, gray):
    image = np.zeros((48, 48), dtype)
    image[0, 0] = levels
    found = read(write_tree(tmp_path / "faces", {"train/sad/1.tif": _png(image, form="tiff")}))
    assert found.images[0, 0, 0, 0] == gray
    assert found.images[0].sum() == gray


def test_levels_that_fit_no_range_are_refused(tmp_path, write_tree):
    image = np.full((48, 48), -1.0, np.float32)
    with pytest.raises(UserError, match=r"1\.tif: not a readable image \(its levels go from -1 to -1"):
        read(write_tree(tmp_path / "faces", {"train/sad/1.tif": _png(image, form="tiff")}))
