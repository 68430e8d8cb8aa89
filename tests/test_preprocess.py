"""The scaling of gray levels and their copy to channels."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.preprocess import SCALINGS, preprocess

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
IMAGES[0, 0, :2, 0] = 0, 255


def test_minmax_maps_0_to_0_and_255_to_1():
    scaled = np.asarray(preprocess(jnp.asarray(IMAGES), scaling="minmax"))
    assert scaled.dtype == np.float32
    assert scaled[0, 0, 0, 0] == 0
    assert scaled[0, 0, 1, 0] == 1
    np.testing.assert_allclose(scaled, np.repeat(IMAGES / 255, 3, axis=-1), rtol=1e-6)


def test_none_keeps_gray_levels():
    np.testing.assert_array_equal(
        preprocess(jnp.asarray(IMAGES), scaling="none"), np.repeat(IMAGES, 3, axis=-1).astype(np.float32)
    )


@pytest.mark.parametrize("scaling", SCALINGS)
def test_float_gray_levels_give_what_uint8_gives(scaling):
    stored = preprocess(jnp.asarray(IMAGES), scaling=scaling)
    augmented = preprocess(jnp.asarray(IMAGES.astype(np.float32)), scaling=scaling)
    np.testing.assert_array_equal(stored, augmented)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("leading", [(), (3,), (1, 3)])
def test_shape_and_dtype(channels, leading):
    images = jnp.asarray(IMAGES if leading else IMAGES[0]).reshape(*leading, 48, 48, 1)
    result = preprocess(images, scaling="minmax", channels=channels, dtype=jnp.bfloat16)
    assert result.shape == (*leading, 48, 48, channels)
    assert result.dtype == jnp.bfloat16
    rounded = np.asarray(images.astype(jnp.float32) / 255, jnp.bfloat16)
    np.testing.assert_array_equal(result[..., :1], rounded)


def test_caffe_scaling_is_keras_own(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    from keras.applications.vgg19 import preprocess_input

    ours = preprocess(jnp.asarray(IMAGES), scaling="imagenet_caffe")
    theirs = preprocess_input(np.repeat(IMAGES.astype(np.float32), 3, axis=-1), data_format="channels_last")
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_torch_scaling_standardises_rgb():
    ours = preprocess(jnp.asarray(IMAGES), scaling="imagenet_torch")
    theirs = (IMAGES / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("scaling", ["imagenet_caffe", "imagenet_torch"])
def test_one_channel_takes_the_channels_mean(scaling):
    one = preprocess(jnp.asarray(IMAGES), scaling=scaling, channels=1)
    three = preprocess(jnp.asarray(IMAGES), scaling=scaling)
    np.testing.assert_allclose(one[..., 0], three.mean(-1), atol=0.01 * float(np.abs(three).max()))


def test_another_scaling_is_refused():
    with pytest.raises(ValueError, match=r"'zscore' is not one of minmax"):
        preprocess(jnp.asarray(IMAGES), scaling="zscore")
