import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.networks.layers.pool import max_pool2x2


def reference(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (2, 5, 7, 3), (1, 1, 3, 2)])
def test_values_and_gradients_equal_reduce_window_with_ties(shape):
    # Few distinct values, so that windows have equal pixels: the first wins, as in select-and-scatter.
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, shape), jnp.float32)
    y, pullback = jax.vjp(max_pool2x2, x)
    expected, expected_pullback = jax.vjp(reference, x)
    g = jnp.arange(1.0, y.size + 1).reshape(y.shape)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(pullback(g)[0], expected_pullback(g)[0])


def test_the_gradient_compares_nothing_with_a_maximum():
    # A maximum that is computed again may be rounded otherwise, and then no pixel equals it.
    x = jnp.ones((1, 4, 4, 2))
    backward = jax.vjp(max_pool2x2, x)[1]
    assert "max" not in str(jax.make_jaxpr(backward)(jnp.ones((1, 2, 2, 2))))
    assert jax.vmap(jax.grad(lambda x: max_pool2x2(x).sum()))(x[None]).sum() == 8
