"""Which rows are held out together."""

import numpy as np
import pytest

from ferjax.scores.folds import split_folds


@pytest.mark.parametrize("count", [1, 3, 5, 13])
def test_every_row_is_held_out_once(count):
    folds = list(split_folds(count))
    assert len(folds) == min(5, count)
    assert (np.sum([own for _, own in folds], axis=0) == 1).all()
    for others, own in folds:
        np.testing.assert_array_equal(others, ~own)
        assert own.sum() <= -(-count // 5)
