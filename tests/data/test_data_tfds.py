"""What the tensorflow-datasets builder prepares reads back as the same rows, without TensorFlow."""

import json
import subprocess
import sys

import pytest

from ferjax.data import read, reading
from ferjax.errors import UserError

tfds_builder = pytest.importorskip("ferjax.data.tfds_builder", exc_type=UserError)


@pytest.fixture
def manual(tmp_path, rows, csv_text):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "icml_face_data.csv").write_text(csv_text(rows, "eup"))
    return tmp_path / "manual"


def test_prepared_rows_equal_the_file(tmp_path, rows, manual, same):
    folder = tfds_builder.prepare(str(manual), str(tmp_path / "out"))
    assert (folder / "dataset_info.json").exists()
    for path in (folder, tmp_path / "out"):
        same(rows, read(path))
    assert "tensorflow" not in sys.modules


def test_a_prepared_folder_is_cached(tmp_path, rows, manual, same, monkeypatch):
    folder = tfds_builder.prepare(str(manual), str(tmp_path / "out"))
    read(folder)
    monkeypatch.setattr(reading, "read_prepared", None)
    same(rows, read(folder))


def test_a_file_without_private_test_has_two_splits(tmp_path, make_rows, csv_text):
    text = csv_text(make_rows(n=30)).replace("PrivateTest", "PublicTest")
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "fer2013.csv").write_text(text)
    folder = tfds_builder.prepare(str(tmp_path / "manual"), str(tmp_path / "out"))
    about = json.loads((folder / "dataset_info.json").read_text())
    assert [split["name"] for split in about["splits"]] == ["train", "validation"]
    assert len(read(folder)) == 30


def test_another_data_set_is_refused(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"name": "mnist", "fileFormat": "tfrecord"}')
    with pytest.raises(UserError, match="holds the tensorflow-datasets set 'mnist' as tfrecord files"):
        read(tmp_path)


def test_command_line(tmp_path, rows, manual, same):
    command = [sys.executable, "-m", "ferjax.data.tfds_builder"]
    done = subprocess.run(
        [*command, f"--manual_dir={manual}", f"--data_dir={tmp_path / 'out'}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    same(rows, read(done.stdout.strip().splitlines()[-1]))
    failed = subprocess.run(
        [*command, f"--manual_dir={tmp_path / 'none'}", f"--data_dir={tmp_path / 'o'}"], capture_output=True, text=True
    )
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert str(tmp_path / "none") in failed.stderr


@pytest.mark.parametrize("content", ["{", '{"name": "fer2013", "fileFormat": "array_record"}'])
def test_a_damaged_folder_is_a_sentence(tmp_path, content):
    (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(UserError, match="prepare the folder again"):
        read(tmp_path)
