import csv

import numpy as np
import pytest

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.errors import UserError
from ferjax.report import COLUMNS, choose_worst, predictions, read_predictions


def test_predictions_come_back_bit_for_bit(path, answers):
    labels, probabilities = answers
    found = read_predictions(path)
    assert found.probabilities.tobytes() == probabilities.tobytes()
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.row, np.arange(100, 160))
    assert found.split == "test"
    with path.open() as file:
        first = next(csv.DictReader(file))
    assert first["emotion"] == EMOTIONS[labels[0]]
    assert first["predicted"] == EMOTIONS[probabilities[0].argmax()]
    assert tuple(first) == COLUMNS


def test_all_lines_together_say_what_one_by_one_says(path, monkeypatch):
    together = read_predictions(path)
    monkeypatch.setattr(predictions, "_parse_together", lambda *_: None)
    alone = read_predictions(path)
    assert (together.split, together.classes) == (alone.split, alone.classes)
    for name in ("row", "labels", "probabilities"):
        one, other = getattr(together, name), getattr(alone, name)
        assert (one.tobytes(), one.dtype, one.flags.c_contiguous) == (other.tobytes(), other.dtype, True)


def edit_line(path, number, column, value):
    lines = path.read_text().splitlines()
    fields = lines[number - 1].split(",")
    fields[COLUMNS.index(column)] = value
    lines[number - 1] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("row", "-1", "row is '-1'"),
        ("row", "9" * 30, "too large"),
        ("row", " 7", "row is ' 7'"),
        ("split", "train", "split is 'train' after 'test'"),
        ("emotion", "bored", "emotion is 'bored', not one of angry"),
        ("predicted", "bored", "predicted is 'bored', but"),
        ("p_fear", "x", "not a number"),
        ("p_fear", "nan", "sum to 1"),
        ("p_fear", "0.9999", "sum to 1"),
        ("p_fear", "0.1,0.1", "12 fields instead of 11"),
    ],
)
def test_a_broken_line_is_named(path, column, value, message):
    edit_line(path, 5, column, value)
    with pytest.raises(UserError) as error:
        read_predictions(path)
    assert f"{path}, line 5: " in str(error.value)
    assert message in str(error.value)
    assert f"python -m ferjax.main --workdir {path.parent}" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("", "line 1 is not the header"),
        ("row,split\n", "line 1 is not the header"),
        (",".join(COLUMNS) + "\n", "holds no predictions"),
        (b"\xff\xfe", "cannot be read"),
        (",".join(COLUMNS) + "\n\n", "line 2: 0 fields"),
    ],
)
def test_a_file_that_is_not_predictions_is_named(tmp_path, content, message):
    path = tmp_path / "predictions.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        read_predictions(path)


def test_worst_mistakes_are_the_most_confident_ones():
    probabilities = np.full((5, 7), 0.01)
    probabilities[np.arange(5), [0, 1, 2, 3, 4]] = [0.99, 0.6, 0.9, 0.7, 0.9]
    labels = np.array([0, 0, 0, 0, 0])
    assert choose_worst(labels, probabilities).tolist() == [2, 4, 3, 1]
    assert choose_worst(labels, probabilities, k=2).tolist() == [2, 4]
    assert choose_worst(np.arange(5), probabilities).tolist() == []
    equal = np.tile([0.9, 0.1, 0, 0, 0, 0, 0], (500, 1))
    assert choose_worst(np.arange(500) % 2, equal).tolist() == list(range(1, 73, 2))


@pytest.mark.parametrize(
    "header",
    ["row,split,emotion,predicted", "row,split,emotion,predicted,p_sad", "row,split,emotion,predicted,p_sad,p_sad",
     "row,split,emotion,predicted,p_sad,happy"],
)  # fmt: skip
def test_a_header_without_classes_is_named(tmp_path, header):
    (tmp_path / "predictions.csv").write_text(f"{header}\n0,test,sad,sad,1,0\n")
    with pytest.raises(UserError, match=r"line 1 is not the header .*'p_<class>' for each class"):
        read_predictions(tmp_path / "predictions.csv")
