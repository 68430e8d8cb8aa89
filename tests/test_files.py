import json
import os

import pytest

from ferjax.errors import UserError
from ferjax.files import read_json_lines, remove_remains, replacing, write_json, write_text

FIELDS = {"step": int, "epoch": float, "split": str}
LINE = {"step": 1, "epoch": 0.5, "split": "train", "loss": 1e-05}


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\r\n")

    def fail():
        with replacing(path) as beside:
            beside.write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_named_and_not_the_one_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError) as told:
        write_text(tmp_path / "nowhere" / "a.txt", "new")
    assert told.value.filename == str(tmp_path / "nowhere" / "a.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as told:
        write_text(tmp_path / "folder", "new")
    assert told.value.filename == str(tmp_path / "folder")
    assert told.value.filename2 is None
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    old = [".config.123.new.json", ".faces.9.new", "config.json", ".config.new.json", ".config.12a.new.json"]
    for name in (*old, ".config.124.new.json"):
        (tmp_path / name).write_text("{")
    for name in old:
        os.utime(tmp_path / name, (0, 0))
    remove_remains(tmp_path, tmp_path / "not there")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*old[2:], ".config.124.new.json"))


def test_json_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]}, sort_keys=True)
    assert (tmp_path / "a.json").read_text() == '{\n "a": [\n  2\n ],\n "b": 1\n}\n'


@pytest.mark.parametrize("tail", ["", '{"step": 2, "ep', '{"step": 2}', "41", "\n"])
def test_what_a_killed_process_left_of_a_line_is_passed_over(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + tail)
    assert read_json_lines(path, FIELDS) == [LINE]


def test_a_last_line_that_lacks_only_its_newline_counts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{json.dumps(LINE)}")
    assert read_json_lines(path, FIELDS) == [LINE, LINE]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "Expecting value"),
        (f"{json.dumps(LINE)}, {json.dumps(LINE)}", "Extra data"),
        ('"x"', "it is not an object in braces"),
        ('{"step": 1, "epoch": 1}', "it lacks 'split'"),
        ('{"step": 1.5, "epoch": 1, "split": "train"}', "'step' is 1.5"),
        ('{"step": true, "epoch": 1, "split": "train"}', "'step' is true"),
        ('{"step": 1, "epoch": "1", "split": "train"}', "'epoch' is \"1\""),
        ("\N{REPLACEMENT CHARACTER}", "Expecting value"),
    ],
)
def test_a_broken_line_is_named_with_what_is_wrong(tmp_path, text, reason):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n\n{text}\n{json.dumps(LINE)}\n")
    with pytest.raises(UserError) as error:
        read_json_lines(path, FIELDS)
    assert str(error.value).startswith(f"{path}, line 3 cannot be read ({reason}")
    assert str(error.value).endswith("mend or delete that line.")
