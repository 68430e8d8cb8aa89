"""A data set of another size, of colour, and of other classes is a file and a line: all the rest follows from Rows."""

import io
import json
import re
import types

import jax
import numpy as np
import pytest
from PIL import Image

from ferjax import data
from ferjax.data import DataSet, Rows, cache, copied_rows, loading
from ferjax.data.audit.findings import examine
from ferjax.data.audit.summary import format_summary, write
from ferjax.data.datasets import fer2013
from ferjax.data.form import Form
from ferjax.data.reading import read_files
from ferjax.errors import UserError
from ferjax.figures import draw_class_distribution, draw_worst_mistakes
from ferjax.keys import Key, Range
from ferjax.parallel import create_layout, place
from ferjax.report import choose_worst, read_predictions, write_predictions
from ferjax.report.mistakes import write_worst_mistakes
from ferjax.workdir import describe_data

SIDE, CLASSES = 64, ("cat", "dog", "fox")
FORM = Form("animals", "animals", "draw it", CLASSES, None, SIDE, channels=3)


def draw_toy(path, on_bad_row, *, toy_rows):
    """The toy's own reading: colour images whose last two rows are held-out copies of the first and of the second."""
    random = np.random.default_rng(0)
    images = np.repeat(random.integers(0, 256, (toy_rows, 8, 8, 3), np.uint8).repeat(8, 1), 8, 2)
    images[-2] = images[0]
    images[-1] = images[1][:, ::-1] // 2 + 60  # mirrored, darker
    images[2] = (10, 20, 30)
    usage = np.zeros(toy_rows, np.uint8)
    usage[-4:] = 1, 2, 1, 2
    return Rows(images, np.arange(toy_rows, dtype=np.int32) % 3, CLASSES, usage, ("first", "second", "third"))


@pytest.fixture
def datasets(monkeypatch):
    keys = {"toy_rows": Key(30, Range(6, whole=True), "rows of the toy")}
    table = {
        **data.DATASETS,
        "toy": DataSet(draw_toy, keys),
        "animals": DataSet(lambda path, on_bad_row: read_files(path, FORM, on_bad_row)),
    }
    monkeypatch.setattr(loading, "DATASETS", types.MappingProxyType(table))


@pytest.mark.usefixtures("datasets")
def test_splits_and_copies_of_colour_images():
    rows, splits = data.load(name="toy")
    assert (rows.side_px, rows.channels, len(rows)) == (64, 3, 30)
    assert {name: index.tolist() for name, index in splits.items()} == {
        "train": list(range(26)),
        "validation": [26, 28],
        "test": [27, 29],
    }
    assert {name: index.tolist() for name, index in copied_rows(rows, splits).items()} == {
        "validation": [28],
        "test": [],
    }
    assert data.load(name="toy", dedup="exact")[1]["train"].tolist() == list(range(1, 26))
    assert data.load(name="toy", dedup="near")[1]["train"].tolist() == list(range(2, 26))
    stratified = data.load(name="toy", split="stratified", toy_rows=60)[1]
    for index in stratified.values():
        assert np.ptp(np.bincount(index % 3, minlength=3)) <= 1
    assert [len(index) for index in stratified.values()] == [48, 6, 6]


@pytest.mark.usefixtures("datasets")
def test_the_audit_of_colour_images(tmp_path):
    rows = data.read("nowhere", name="toy")
    found = examine(rows)
    assert found.flat.tolist() == [2]
    write(found, "toy", tmp_path)
    about = json.loads((tmp_path / "audit.json").read_text())
    assert about["counts"] == {"first": [9, 9, 8], "second": [0, 1, 1], "third": [1, 0, 1]}
    assert about["copies"]["first rows with a copy in third"] == {"exact": 0, "exact_or_near": 1}
    assert (tmp_path / "copies.csv").read_text().splitlines()[1] == "1,0,first,cat,exact,1.0000"
    page = (tmp_path / "index.html").read_text()
    assert "Images of a single colour: 1." in page
    assert 'alt="cat 0, dog 28 (second)"' in page
    assert re.search(r"^first +9 +9 +8 +26$", format_summary(found, "toy"), re.MULTILINE)


@pytest.mark.usefixtures("datasets")
def test_a_run_of_colour_images_on_device_and_in_its_folder(tmp_path):
    rows, splits = data.load(name="toy", path="some.file")
    about = describe_data(rows, splits)
    assert (about["path"], about["classes"]) == ("some.file", list(CLASSES))
    assert about["counts"]["train"] == [9, 9, 8]
    resident = place(rows, splits["train"], create_layout("mesh", 2))
    assert resident.images.shape == (26, 64, 64, 3)
    assert resident.images.dtype == np.uint8
    np.testing.assert_array_equal(jax.device_get(resident.images), rows.images[splits["train"]])

    index = splits["train"]
    probabilities = np.eye(3, dtype=np.float32)[(rows.labels[index] + (index % 2)) % 3]
    worst = choose_worst(rows.labels[index], probabilities)
    write_worst_mistakes(tmp_path / "worst_mistakes.npz", rows.images[index][worst], index[worst])
    write_predictions(
        tmp_path / "predictions.csv",
        row=index,
        split="train",
        labels=rows.labels[index],
        probabilities=probabilities,
        classes=rows.classes,
    )
    assert read_predictions(tmp_path / "predictions.csv").classes == CLASSES
    shown = draw_worst_mistakes(tmp_path).axes
    np.testing.assert_array_equal(shown[0].images[0].get_array(), rows.images[1])
    (tmp_path / "data.json").write_text(json.dumps(about))
    labels = [label.get_text() for label in draw_class_distribution(tmp_path).axes[0].get_yticklabels()]
    assert labels == list(CLASSES)


def _png(colour, size=SIDE):
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.usefixtures("datasets")
def test_colour_folders_without_an_official_split(tmp_path, write_tree):
    files = {
        f"{name}/{i}.png": _png((40 * code, i, 7), SIDE if i else 80)
        for code, name in enumerate(CLASSES)
        for i in range(10)
    }
    path = str(write_tree(tmp_path / "animals", files))
    rows, splits = data.load(name="animals", path=path, split="stratified")
    assert rows.usage is None
    assert rows.images.shape == (30, 64, 64, 3)
    assert [len(index) for index in splits.values()] == [24, 3, 3]
    np.testing.assert_array_equal(rows.images[:, 5, 5, 0], 40 * rows.labels)
    assert "resized 3 images to 64x64, most of them from 80x80" in rows.notes
    assert not any("turned" in note for note in rows.notes)
    with pytest.raises(UserError, match=r"no official split into train, validation and test: use data\.split=strat"):
        data.load(name="animals", path=path)
    again = data.read(path, name="animals")
    np.testing.assert_array_equal(rows.images, again.images)
    assert (again.classes, again.usage, again.notes) == (CLASSES, None, rows.notes)
    assert examine(rows).flat.tolist() == list(range(30))
    assert format_summary(examine(rows), path).count("unsplit") == 1


def test_each_data_set_has_its_own_rows_in_the_cache(make_rows):
    cache.save(make_rows(n=3), "one-error")
    assert cache.load("", "other-error") is None


@pytest.mark.usefixtures("datasets")
def test_a_csv_without_usages_of_another_size(tmp_path, monkeypatch):
    form = Form("dots", "dots", "draw it", ("off", "on"), None, 2)
    (tmp_path / "dots.csv").write_text("emotion,pixels\n0,0 1 2 3\n1,255 4 5 6\n")
    rows = read_files(tmp_path / "dots.csv", form, "error")
    assert rows.images[..., 0].tolist() == [[[0, 1], [2, 3]], [[255, 4], [5, 6]]]
    assert (rows.labels.tolist(), rows.usage) == ([0, 1], None)
    (tmp_path / "dots.csv").write_text("emotion,pixels\n2,0 1 2 3\n1,1 2 3\n")
    with pytest.raises(UserError, match=r"row 1 \(line 2\): emotion is 2, outside 0\.\.1"):
        read_files(tmp_path / "dots.csv", form, "error")


@pytest.mark.usefixtures("datasets")
def test_keys_and_their_mistakes():
    with pytest.raises(UserError, match=r"data\.name is 'mnist': choose one of fer2013, .*toy, animals"):
        data.load(name="mnist")
    with pytest.raises(UserError, match=r"data\.toy_rows=5 is out of range: it must be >= 6"):
        data.load(name="toy", toy_rows=5)
    with pytest.raises(TypeError, match="There is no option scaling"):
        data.load(scaling="minmax")
    rows, _ = data.load(name="toy", labels="ferplus_majority")
    assert "data.labels is not read, since the data set is 'toy'" in rows.notes


def test_the_drawn_faces_have_two_names():
    by_name, _ = data.load(name="synthetic", synthetic_rows=70)
    by_path, _ = data.load(path="synthetic", synthetic_rows=70)
    assert by_name.source == by_path.source == "synthetic"
    np.testing.assert_array_equal(by_name.images, by_path.images)


def test_the_keys_of_group_data():
    assert set(data.KEYS) == {
        *("path", "name", "classes", "split", "split_seed", "on_bad_row", "dedup"),
        *("labels", "ferplus_path", "synthetic_rows"),
    }
    assert {name for name, key in data.KEYS.items() if key.resume == "free"} == {"path", "ferplus_path"}
    assert {name for name, key in data.KEYS.items() if key.resume == "ask"} == {"on_bad_row"}
    assert all(key.default in key.legal for key in data.KEYS.values())
    assert data.KEYS["name"].default == fer2013.FORM.name


def test_a_data_set_that_memory_does_not_hold_is_a_sentence(monkeypatch):
    def read(*_, **__):
        raise MemoryError

    monkeypatch.setattr(loading, "DATASETS", {"huge": DataSet(read)})
    for ask in (lambda: loading.load(name="huge", path="many"), lambda: loading.read("many", name="huge")):
        with pytest.raises(UserError, match=r"does not hold the images of many: take fewer of them"):
            ask()
