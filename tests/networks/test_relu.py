import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.networks.layers.one_by_one import one_by_one
from ferjax.networks.layers.relu import relu


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_relu_is_flaxs_with_its_gradient(dtype):
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((4, 5, 6)).round(1), dtype)
    x, g = x.at[0, 0].set(0.0).at[1, 0].set(-0.0), jnp.asarray(random.standard_normal(x.shape), dtype)
    assert (x == 0).sum() > 6
    for one, other in zip(jax.tree.leaves(pull(relu, x, g)), jax.tree.leaves(pull(nn.relu, x, g)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def pull(function, x, g):
    y, back = jax.vjp(function, x)
    return y, back(g)


def test_relu_keeps_its_output_alone():
    _, back = jax.vjp(lambda x: relu(x), jnp.ones((3, 4)))
    assert [leaf.shape for leaf in jax.tree.leaves(back)] == [(3, 4)]


def test_vmap_calls_each_member():
    def multiply(x, kernel):
        return jax.lax.conv(x, kernel, (1, 1), "SAME"), x.sum()

    x, kernels = jnp.arange(16.0).reshape(1, 1, 4, 4), jnp.arange(27.0).reshape(3, 1, 1, 3, 3)
    mapped = jax.vmap(one_by_one(multiply), (None, 0))
    for one, other in zip(mapped(x, kernels), jax.vmap(multiply, (None, 0))(x, kernels), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    text = str(jax.make_jaxpr(mapped)(x, kernels))
    assert text.count("conv_general_dilated[") == 3
    assert "feature_group_count=3" not in text
    assert "batch_group_count=3" not in text
