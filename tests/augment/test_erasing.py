"""Random erasing: its squares and its noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.augment import erasing
from ferjax.augment.erasing import Squares, apply_erasing, draw_squares
from ferjax.augment.shards import Shards
from ferjax.batch import Batch

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("corner", "area"), [((10, 20), 144), ((-6, 0), 72), ((-6, -6), 36), ((41, 44), 28)])
def test_erasing_fills_its_square_and_nothing_else(corner, area):
    noise = RNG.integers(1, 256, (2, 12, 12, 1), dtype=np.uint8)
    squares = Squares(jnp.asarray([True, False]), jnp.asarray([corner, corner], jnp.int32), jnp.asarray(noise))
    erased = np.asarray(jax.jit(apply_erasing)(jnp.zeros((2, 48, 48, 1)), squares))[..., 0]
    assert not erased[1].any()
    rows, columns = np.nonzero(erased[0])
    assert len(rows) == area
    assert rows.min() == max(corner[0], 0)
    assert columns.min() == max(corner[1], 0)
    assert rows.max() == min(corner[0] + 11, 47)
    assert columns.max() == min(corner[1] + 11, 47)
    if area == 144:  # every drawn value appears, each once
        np.testing.assert_array_equal(np.sort(erased[0][rows, columns]), np.sort(noise[0].ravel()))


def test_a_square_far_larger_than_the_image_covers_all_of_it():
    batch = Batch(jnp.full((4, 16, 16, 1), 300.0), jnp.zeros(4, jnp.int32), jnp.full((4, 7), 1 / 7))
    for px in (32, 10**9):
        result = erasing.create(erase_prob=1.0, erase_px=px)(jax.random.key(0), batch, Shards(4)).images
        assert float(result.max()) <= 255


@pytest.mark.parametrize(("px", "side", "channels"), [(7, 48, 1), (48, 48, 1), (9, 31, 3), (40, 31, 1)])
def test_a_square_of_any_size_in_an_image_of_any_size(px, side, channels):
    batch = Batch(jnp.zeros((64, side, side, channels)), jnp.zeros(64, jnp.int32), jnp.full((64, 7), 1 / 7))
    erase = erasing.create(erase_prob=1.0, erase_px=px)
    result = np.asarray(erase(jax.random.key(6), batch, Shards(64)).images)
    area = np.count_nonzero(result, axis=(1, 2, 3)) / channels
    assert area.max() <= px * px
    assert area.min() >= min(px // 2, side // 2) ** 2 * 0.9  # noise may be 0 here and there
    values = result[result > 0]
    assert abs(values.mean() - 128) < 6
    assert abs(values.std() - 74) < 6
    if channels == 3:
        assert not np.array_equal(result[..., 0], result[..., 1])


def test_draws_fill_their_ranges_evenly():
    rows = 4000
    drawn = draw_squares(jax.random.key(4), rows, side_px=48, channels=1, erase_prob=0.7, erase_px=12)
    assert abs(float(drawn.erase.mean()) - 0.7) < 0.03
    corners = np.asarray(drawn.corner_px)
    assert corners.min() == -6
    assert corners.max() == 41
    columns = (corners + 6.5) / 48
    for unit in columns.T:
        assert abs(unit.mean() - 0.5) < 0.02
        assert abs(unit.std() - 12**-0.5) < 0.01
    independent = np.corrcoef(np.stack([*columns.T, np.asarray(drawn.erase)]))
    assert np.abs(independent - np.eye(3)).max() < 0.08


def test_a_longer_batch_leaves_the_draws_of_its_first_images():
    options = {"side_px": 48, "channels": 1, "erase_prob": 0.7, "erase_px": 5}
    few, many = (draw_squares(jax.random.key(5), rows, **options) for rows in (6, 16))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, other[:6])


def test_off_it_is_no_transform():
    assert erasing.create(erase_prob=0.0, erase_px=12) is None
