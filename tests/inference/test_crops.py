"""Crops of faces, and back."""

import numpy as np
import pytest

from ferjax.inference.crops import cut, paste

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("box", [(3, 4, 10, 8), (-5, -6, 12, 12), (25, 15, 12, 12), (-5, -5, 60, 60), (50, 50, 4, 4)])
def test_what_was_cut_goes_back_to_its_place(box):
    part = cut(PIXELS, np.array(box, float))
    copy = PIXELS.copy()
    paste(copy, part, box[:2])
    np.testing.assert_array_equal(copy, PIXELS)
    black = PIXELS.copy()
    paste(black, np.zeros_like(part), box[:2])
    x, y, width, height = box
    inside = np.zeros(PIXELS.shape[:2], bool)
    inside[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True
    np.testing.assert_array_equal(
        (black == 0).all(axis=-1) | (PIXELS == 0).all(axis=-1), inside | (PIXELS == 0).all(-1)
    )
