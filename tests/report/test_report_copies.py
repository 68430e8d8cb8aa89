import json

import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.report import mark_copies

ROW = np.array([5, 6, 7])


def test_rows_that_data_json_lists_for_the_split_are_marked(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"copies": {"test": [7, 99], "validation": [5]}}))
    assert mark_copies(path, "test", ROW).tolist() == [False, False, True]
    assert mark_copies(path, "train", ROW) is None


@pytest.mark.parametrize("content", [None, "{}"])
def test_where_nobody_looked_nothing_is_marked(tmp_path, content):
    path = tmp_path / "data.json"
    if content is not None:
        path.write_text(content)
    assert mark_copies(path, "test", ROW) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "'copies' is not a list of row numbers"),
        ('{"copies": {"test": [1.5]}}', "'copies' is not a list of row numbers"),
        ('{"copies": {"test": "12"}}', "'copies' is not a list of row numbers"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"data\.json.*{message}.*: train again"):
        mark_copies(path, "test", ROW)
