"""A network cut behind its last feature map."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.explain.feature_map import cut
from tests.answers import close


@pytest.mark.parametrize(("name", "channels"), [("compact", 13), ("vgg11_bn", 26)])
def test_the_last_map_that_knows_places_is_found_in_any_network(name, channels):
    module = networks.create(name=name, num_classes=7, width=0.1)
    images = jax.ShapeDtypeStruct((2, 48, 48, module.in_channels), jnp.float32)
    leaves, structure = jax.tree.flatten(jax.eval_shape(module.init, jax.random.key(0), images))

    def walk(*inputs):
        parts = cut(lambda *inputs: module.apply(structure.unflatten(inputs[:-1]), inputs[-1]), *inputs)
        feature_map, *others = parts.below(*inputs)
        return feature_map, parts.above(feature_map, *others)

    feature_map, (logits,) = jax.eval_shape(walk, *leaves, images)
    assert feature_map.shape == (2, 12, 12, channels)
    assert logits.shape == (2, 7)


def compute(scale, images):
    """A stem, and a block whose input comes back behind the feature map: it must be passed on too."""
    x = nn.relu(images * scale - 0.5)[:, ::2, ::2]
    y = jnp.tanh(x) + 1
    return (y.sum((1, 2)) + x.mean((1, 2))) @ jnp.eye(2, 7)


def test_the_two_parts_are_the_function_and_the_map_is_the_last_one():
    scale, images = jnp.float32(2), jnp.asarray(np.random.default_rng(1).uniform(0, 1, (3, 9, 7, 2)), jnp.float32)
    parts = cut(compute, scale, images)
    passed = parts.below(scale, images)
    close(passed[0], jnp.tanh(nn.relu(images * scale - 0.5)[:, ::2, ::2]) + 1)
    close(parts.above(*passed)[0], compute(scale, images))
    gradient = jax.grad(lambda feature_map: parts.above(feature_map, *passed[1:])[0][:, 1].sum())(passed[0])
    np.testing.assert_array_equal(gradient, np.broadcast_to([0, 1], gradient.shape))


def test_a_function_without_a_feature_map_is_refused():
    with pytest.raises(ValueError, match="no feature map of 3x3 pixels"):
        cut(functools.partial(compute, 1.0), jnp.zeros((2, 4, 6, 2)))
