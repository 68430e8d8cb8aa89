"""The scaling of gray levels and their copy to channels."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.preprocess import preprocess

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
IMAGES[0, 0, :2, 0] = 0, 255


def test_normalize_maps_0_to_0_and_255_to_1():
    scaled = np.asarray(preprocess(jnp.asarray(IMAGES), normalize=True))
    assert scaled.dtype == np.float32
    assert scaled[0, 0, 0, 0] == 0
    assert scaled[0, 0, 1, 0] == 1
    np.testing.assert_allclose(scaled, np.repeat(IMAGES / 255, 3, axis=-1), rtol=1e-6)


def test_without_normalize_keeps_gray_levels():
    np.testing.assert_array_equal(
        preprocess(jnp.asarray(IMAGES), normalize=False), np.repeat(IMAGES, 3, axis=-1).astype(np.float32)
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_float_gray_levels_give_what_uint8_gives(normalize):
    stored = preprocess(jnp.asarray(IMAGES), normalize=normalize)
    augmented = preprocess(jnp.asarray(IMAGES.astype(np.float32)), normalize=normalize)
    np.testing.assert_array_equal(stored, augmented)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("leading", [(), (3,), (1, 3)])
def test_shape_and_dtype(channels, leading):
    images = jnp.asarray(IMAGES if leading else IMAGES[0]).reshape(*leading, 48, 48, 1)
    result = preprocess(images, normalize=True, channels=channels, dtype=jnp.bfloat16)
    assert result.shape == (*leading, 48, 48, channels)
    assert result.dtype == jnp.bfloat16
    rounded = np.asarray(images.astype(jnp.float32) / 255, jnp.bfloat16)
    np.testing.assert_array_equal(result[..., :1], rounded)
