import numpy as np
import pytest

from ferjax import data
from ferjax.data.regroup import regroup
from ferjax.data.rows import UNLABELLED, Rows
from ferjax.errors import UserError

CLASSES = ("angry", "happy", "sad", "surprise")


def make_rows(targets=None):
    labels = np.array([0, 1, 2, 3, 1, 0, UNLABELLED, 3], np.int32)
    images = np.zeros((8, 4, 4, 1), np.uint8)
    splits = {"train": np.array([0, 1, 2, 3]), "validation": np.array([4, 5]), "test": np.array([7])}
    return Rows(images, labels, CLASSES, targets=targets, notes=("first",)), splits


def test_classes_are_put_together_and_others_left_out():
    rows, splits = regroup(*make_rows(), "positive=happy+surprise, negative=angry")
    assert rows.classes == ("positive", "negative")
    assert rows.labels.tolist() == [1, 0, UNLABELLED, 0, 0, 1, UNLABELLED, 0]
    assert {name: index.tolist() for name, index in splits.items()} == {
        "train": [0, 1, 3],
        "validation": [4, 5],
        "test": [7],
    }
    assert rows.notes == ("first", "left out 1 row of the classes that data.classes does not name: sad")


def test_a_class_may_keep_its_name_and_the_order_is_the_texts():
    rows, _ = regroup(*make_rows(), "sad,other=surprise+angry+happy")
    assert rows.classes == ("sad", "other")
    assert rows.labels.tolist() == [1, 1, 0, 1, 1, 1, UNLABELLED, 1]
    assert rows.notes == ("first",)


def test_soft_targets_are_added_and_what_is_left_out_is_spread():
    targets = np.zeros((8, 4), np.float32)
    targets[:3] = [[0.5, 0.25, 0.25, 0], [0.1, 0.6, 0, 0.3], [0, 0, 1, 0]]
    rows, _ = regroup(*make_rows(targets), "negative=angry,positive=happy+surprise")
    np.testing.assert_allclose(rows.targets[:3], [[2 / 3, 1 / 3], [0.1, 0.9], [0, 0]], atol=1e-6)
    assert rows.targets.dtype == np.float32


def test_no_text_changes_nothing():
    rows, splits = make_rows()
    assert regroup(rows, splits, "") == (rows, splits)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("positive=joy,negative=sad", "names the class joy; there are angry, happy, sad, surprise"),
        ("positive=happy,negative=happy", "names happy twice"),
        ("a=happy,a=sad", "makes the class a twice"),
        ("positive=happy+surprise", "makes one class"),
        ("positive=,negative=sad", "cannot be read at 'positive='"),
        ("=happy,negative=sad", "cannot be read at '=happy'"),
        ("a=sad,b=surprise", "leaves no validation rows"),
    ],
)
def test_a_mistake_is_one_sentence(text, sentence):
    with pytest.raises(UserError, match=sentence):
        regroup(*make_rows(), text)


def test_the_config_key_reaches_the_rows():
    rows, splits = data.load(path="synthetic", synthetic_rows=140, classes="good=happy+surprise,bad=angry+sad+fear")
    assert rows.classes == ("good", "bad")
    assert set(rows.labels[splits["train"]].tolist()) == {0, 1}
    assert len(splits["train"]) == 80
