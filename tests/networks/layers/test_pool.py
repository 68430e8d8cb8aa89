import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.networks.layers.pool import max_pool2x2, pool_globally


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


@pytest.mark.parametrize("side", [6, 7])
def test_max_pool_equals_flaxs(side):
    x = jax.random.normal(jax.random.key(0), (2, side, side, 3))

    def flax_pool(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    np.testing.assert_array_equal(max_pool2x2(x), flax_pool(x))
    gradients = [jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (max_pool2x2, flax_pool)]
    np.testing.assert_allclose(*gradients, rtol=1e-6)


def test_global_pools():
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 5))
    np.testing.assert_allclose(pool_globally(x, "max"), np.max(x, (1, 2)))
    np.testing.assert_allclose(pool_globally(x, "mean"), np.mean(x, (1, 2)), rtol=1e-5)
    assert pool_globally(x, "both").shape == (2, 10)


def test_the_global_maximums_gradient_has_one_place_and_needs_no_comparison_with_the_maximum():
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (4, 3, 3, 5)), jnp.float32)  # many are equal
    gradient = np.asarray(jax.grad(lambda x: (pool_globally(x, "max") * 7.0).sum())(x)).reshape(4, 9, 5)
    np.testing.assert_array_equal((gradient != 0).sum(1), 1)
    np.testing.assert_array_equal(gradient.argmax(1), np.asarray(x).reshape(4, 9, 5).argmax(1))
    assert gradient.max() == 7
    assert np.isnan(pool_globally(x.at[0, 1, 1, 2].set(jnp.nan), "max")[0, 2])
