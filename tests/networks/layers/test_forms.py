"""Every form computes the same convolution on its ready kernel, and the cheapest one is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.networks.layers import forms


@pytest.mark.parametrize("name", forms.FORMS)
@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (3, 1, 2, 4)])
def test_every_form_is_the_convolution(name, shape):
    random = np.random.default_rng(0)
    x, kernel = jnp.asarray(random.normal(size=shape), jnp.float32), random.normal(size=(3, 3, shape[3], 6))
    ready = forms.prepare(kernel, name)
    assert ready.form == name
    assert ready.values.dtype == jnp.float32
    expected = jax.lax.conv_general_dilated(
        x, jnp.asarray(kernel, jnp.float32), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = jax.jit(forms.convolve)(x, ready)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("shape", [(1, 48, 48, 3), (1, 24, 24, 64), (64, 12, 12, 128), (1, 3, 3, 512)])
def test_an_exact_network_and_other_devices_do_without_winograd(shape):
    assert forms.choose(shape, 64, exact=True, cpu=True).startswith("im2col")
    assert forms.choose(shape, 64, exact=False, cpu=False) == "xla"


def test_one_small_image_reads_few_weights_and_many_images_multiply_little():
    chosen = {batch: forms.choose((batch, 6, 6, 512), 512, exact=False, cpu=True) for batch in (1, 64)}
    assert chosen[1].startswith("im2col"), "Winograd's kernels are two to four times as large"
    assert chosen[64].startswith("winograd")
    assert forms.choose((1, 24, 24, 128), 128, exact=False, cpu=True) == "winograd4"
    assert forms.choose((1, 48, 48, 3), 64, exact=False, cpu=True) == "im2col", "three channels are no product"
