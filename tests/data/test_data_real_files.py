"""Files as people have them, built after public reports: what lies beside the data, and what tools made of it."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from ferjax import data
from ferjax.data import read
from ferjax.data.datasets.fer2013 import EMOTIONS, USAGES
from ferjax.errors import UserError


def encode(levels, **options):
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "png", **options)
    return buffer.getvalue()


@pytest.fixture
def csv(make_rows, csv_text):
    """The text of a csv of some rows, and the rows."""
    rows = make_rows(35)
    return csv_text(rows), rows


def unsplit(text):
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", ".Trash-1000", "@eaDir", "__MACOSX", ".cache/x"])
def test_hidden_and_backup_folders_are_no_data(tmp_path, csv, write_tree, same, folder):
    text, rows = csv
    files = {f"{folder}/fer2013-checkpoint.csv": text[:3000].encode(), "fer2013.csv": text.encode()}
    same(rows, read(write_tree(tmp_path / "faces", {**files, "fer2013.csv.bak": b"x", "~fer.csv~": b"emotion,pixels"})))


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", "@eaDir", ".Trash-1000"])
def test_a_hidden_folder_beside_the_classes_is_no_class(tmp_path, make_rows, image_files, write_tree, same, folder):
    rows = make_rows(21)
    files = image_files(rows)
    same(rows, read(write_tree(tmp_path / "faces", {**files, f"train/{folder}/a.png": next(iter(files.values()))})))


def test_numbered_pieces_are_read_together(tmp_path, csv, write_tree, same):
    text, rows = csv
    header, *lines = text.splitlines()
    pieces = {f"part{i}.csv": "\n".join([header, *lines[3 * (i - 1) : 3 * i]]).encode() for i in range(1, 13)}
    found = read(write_tree(tmp_path / "faces", pieces))
    same(rows, found)
    assert found.notes[0].startswith("took part1.csv, part2.csv, ")
    assert found.notes[0].endswith("part12.csv together")
    assert found.digest != read(write_tree(tmp_path / "other", {"part1.csv": pieces["part1.csv"]})).digest


@pytest.mark.parametrize("names", [("train", "val", "test"), ("fer_training", "fer_validation", "fer_testing")])
def test_a_csv_for_each_split_is_read_by_its_name(tmp_path, csv, write_tree, names):
    text, rows = csv
    header, *lines = unsplit(text).splitlines()
    parts = [
        [line for line, usage in zip(lines, rows.usage, strict=True) if usage == code] for code in range(len(USAGES))
    ]
    files = {f"{name}.csv": "\n".join([header, *part]).encode() for name, part in zip(names, parts, strict=True)}
    found = read(write_tree(tmp_path / "faces", files))
    order = np.argsort(rows.usage, kind="stable")
    np.testing.assert_array_equal(found.usage, rows.usage[order])
    np.testing.assert_array_equal(found.images, rows.images[order])


def test_several_csvs_that_are_no_pieces_are_refused_with_the_list(tmp_path, csv, write_tree):
    text = csv[0].encode()
    with pytest.raises(UserError, match=r"holds 2 csv files of this form \(clean\.csv, fer2013\.csv\): name the one"):
        read(write_tree(tmp_path / "faces", {"fer2013.csv": text, "clean.csv": text}))


def test_kaggles_two_files_of_the_same_rows_are_one(tmp_path, csv, make_rows, csv_text, write_tree, same):
    text, rows = csv
    files = {"fer2013/fer2013.csv": text.encode(), "icml_face_data.csv": csv_text(rows, "eup").encode()}
    same(rows, read(write_tree(tmp_path / "faces", files)))


def test_a_csv_without_usage_can_be_split_at_random(tmp_path, csv):
    text, rows = csv
    path = tmp_path / "train.csv"
    path.write_text(unsplit(text))
    found, splits = data.load(path=str(path), split="stratified")
    np.testing.assert_array_equal(found.images, rows.images)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(35))
    with pytest.raises(UserError, match=r"no official split into train, validation and test: use data\.split=strat"):
        data.load(path=str(path))


@pytest.mark.parametrize("mark", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_what_spreadsheets_write_is_read(tmp_path, csv, same, mark, encoding):
    text, rows = csv
    path = tmp_path / "fer2013.csv"
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((bom + text.replace(",", mark).replace("\n", "\r\n")).encode(encoding))
    same(rows, read(path))


@pytest.mark.parametrize("spell", ["{code}.0", "{name}", "{name:s} ", "{upper}", '"{name}"'])
def test_labels_are_numbers_or_names(tmp_path, csv, same, spell):
    text, rows = csv
    header, *lines = text.splitlines()
    path = tmp_path / "fer2013.csv"
    changed = []
    for line in lines:
        label, _, rest = line.partition(",")
        name = EMOTIONS[int(label)]
        changed.append(f"{spell.format(code=label, name=name, upper=name.upper())},{rest}")
    path.write_text("\n".join([header, *changed]))
    same(rows, read(path))


def test_a_column_that_is_there_twice_is_refused(tmp_path, csv):
    lines = csv[0].splitlines()
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage,Emotion", *(f"{line},3" for line in lines[1:])]))
    with pytest.raises(UserError, match="has the column emotion 2 times: leave one of them"):
        read(path)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is neither a file nor a folder, but a pipe or a device"):
        read(tmp_path / "pipe")


def test_the_folder_says_the_split_and_not_the_files_name(tmp_path, make_rows, image_files, write_tree):
    images = list(image_files(make_rows(12)).values())
    usages = ("train", "val", "test")
    files = {f"{usages[i % 3]}/sad/{USAGES[i % 2]}_{i}.png": image for i, image in enumerate(images)}
    found = read(write_tree(tmp_path / "faces", files))
    assert found.usage.tolist() == [i % 3 for i in range(12)]
    assert any("for what their folder says, not for what their name does" in note for note in found.notes)
    # Kaggle's own test folder, with no validation folder beside it, holds two of the splits, but never training rows.
    kaggle = {"train/sad/Training_0.png": images[0], "test/sad/PublicTest_1.png": images[1]}
    kaggle |= {"test/sad/PrivateTest_2.png": images[2], "test/sad/Training_3.png": images[3]}
    assert read(write_tree(tmp_path / "kaggle", kaggle)).usage.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize(
    "folder", ["3", "03", "3 happy", "3_Happy", "3-happy", "happy ", "HAPPY", "happiness", "03.happy"]
)
def test_class_folders_as_people_call_them(tmp_path, write_tree, folder):
    image = encode(np.full((48, 48), 7, np.uint8))
    names = [f"train/{folder}/1.png", "val/fear/2.png", "test/scared/3.png", "test/6_neutrality/4.png"]
    found = read(write_tree(tmp_path / "faces", dict.fromkeys([*names, "test/suprise/5.png"], image)))
    assert found.labels.tolist() == [3, 2, 2, 6, 5]


def test_classes_without_a_split_can_be_split_at_random(tmp_path, write_tree):
    image = encode(np.full((48, 48), 7, np.uint8))
    path = write_tree(tmp_path / "faces", {f"{name}/{i}.png": image for i in range(10) for name in EMOTIONS})
    _, splits = data.load(path=str(path), split="stratified")
    assert {name: len(index) for name, index in splits.items()} == {"train": 56, "validation": 7, "test": 7}
    with pytest.raises(UserError, match="no official split"):
        data.load(path=str(path))


def test_a_copy_nested_in_a_folder_of_the_same_name_is_left_aside(tmp_path, make_rows, image_files, write_tree, same):
    rows = make_rows(21)
    files = image_files(rows)
    nested = {f"images/{name}": image for name, image in files.items()}
    nested |= {f"images/images/{name}": image for name, image in files.items()}
    found = read(write_tree(tmp_path / "faces", nested))
    same(rows, found)
    assert any("left aside 21 images there a second time" in note for note in found.notes)


@pytest.mark.parametrize(("top", "white"), [(255, 255), (1000, 1023), (4095, 4095), (65535, 65535)])
def test_deep_images_are_scaled_by_the_range_that_all_use(tmp_path, write_tree, top, white):
    ramp = np.linspace(0, top, 48 * 48).reshape(48, 48)
    files = {"train/sad/1.png": encode(ramp.astype(np.uint16)), "val/sad/2.png": encode((ramp / 3).astype(np.uint16))}
    found = read(write_tree(tmp_path / "faces", files))
    expected = ramp.astype(np.uint16) * (255 / white)
    np.testing.assert_allclose(found.images[0, :, :, 0], expected, atol=0.51)
    assert found.images[1].max() == pytest.approx(found.images[0].max() / 3, abs=1), "one range for all of them"
    assert f"took {white} for white in 2 images of more than 8 bits, whose levels end there" in found.notes


def test_a_dark_image_beside_a_bright_one_stays_dark(tmp_path, write_tree):
    dark, bright = np.full((48, 48), 200, np.uint16), np.full((48, 48), 65535, np.uint16)
    found = read(write_tree(tmp_path / "faces", {"train/sad/1.png": encode(dark), "val/sad/2.png": encode(bright)}))
    assert found.images[0].max() <= 1


def test_a_folder_of_images_with_hugging_faces_description_is_read_as_images(
    tmp_path, make_rows, image_files, write_tree, same
):
    rows = make_rows(21)
    about = json.dumps({"builder_name": "imagefolder", "features": {}, "splits": {}}).encode()
    same(rows, read(write_tree(tmp_path / "faces", {**image_files(rows), "dataset_info.json": about})))
