import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.networks.compact import space_to_depth


def test_blocks_of_pixels_become_channels():
    images = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3).astype(jnp.float32)
    moved = space_to_depth(images)
    assert moved.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(moved[1, 1, 2].reshape(2, 2, 3), images[1, 2:4, 4:6])
    # An odd last row and column are left out, as by the pools.
    np.testing.assert_array_equal(space_to_depth(jnp.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))), moved)


def test_any_side_from_16_pixels_on():
    network = networks.create(name="compact", num_classes=3, width=0.02)
    for height, width in ((16, 17), (49, 64)):
        images = jnp.zeros((2, height, width, 1))
        logits, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
        assert logits.shape == (2, 3)
    with pytest.raises(ValueError, match="16x16 pixels; these have 15x16"):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 15, 16, 1)))
