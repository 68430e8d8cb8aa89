"""data.name=folder: anyone's images, whose classes are the names of their folders."""

import numpy as np
import pytest
from PIL import Image

from ferjax import data
from ferjax.errors import UserError


def write(folder, name, level=0, size=(48, 48), mode="L"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode == "L" else (level,) * 3).save(path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path / "cache"))


def load(path, **options):
    return data.load(name="folder", path=str(path), **options)


def test_the_folders_names_are_the_classes(tmp_path):
    folder = tmp_path / "own"
    for number in range(20):
        write(folder, f"zebra/{number}.png", 10, size=(100, 60), mode="RGB")
        write(folder, f"Ant/{number}.jpg", 200)
    (folder / "readme.txt").write_text("no image")
    rows, splits = load(folder, split="stratified")
    assert rows.classes == ("Ant", "zebra")
    assert rows.images.shape == (40, 48, 48, 1)
    assert rows.images[rows.labels == 1].max() == 10
    assert {name: len(index) for name, index in splits.items()} == {"train": 32, "validation": 4, "test": 4}
    assert any("resized 20 images" in note for note in rows.notes)
    assert any("readme.txt" in note for note in rows.notes)
    with pytest.raises(UserError, match=r"no official split.*use data\.split=stratified"):
        load(folder)


def test_folders_called_train_val_and_test_are_its_splits(tmp_path):
    for usage, count in (("Train", 3), ("val", 2), ("test", 1)):
        for name in ("yes", "no"):
            for number in range(count):
                write(tmp_path / "own", f"{usage}/{name}/{usage}{number}.png")
    rows, splits = load(tmp_path / "own")
    assert rows.classes == ("no", "yes")
    assert {name: len(index) for name, index in splits.items()} == {"train": 6, "validation": 4, "test": 2}
    np.testing.assert_array_equal(np.bincount(rows.labels), [6, 6])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [((), "holds no folder with images"), (("only/1.png",), "the class only alone"), (("1.png",), "no folder with")],
)
def test_fewer_than_two_classes_is_one_sentence(tmp_path, names, sentence):
    folder = tmp_path / "own"
    folder.mkdir()
    for name in names:
        write(folder, name)
    with pytest.raises(UserError, match=sentence):
        load(folder)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "own.csv").write_text("emotion,pixels")
    with pytest.raises(UserError, match="is no folder"):
        load(tmp_path / "own.csv")
