import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.networks.base import Context


def count_parameters(**options):
    network = networks.create(num_classes=7, **options)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 48, 48, 1)))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes["params"]))


# torchvision's, without their 7x7 stem on colour (9,408) and dense layer (513,000), with a 3x3 stem on gray (576) and a
# dense layer for 7 classes (3,591).
@pytest.mark.parametrize(("name", "published"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_parameters_are_the_papers(name, published):
    assert count_parameters(name=name, pool="mean") == published - 9_408 - 513_000 + 576 + 3_591


@pytest.fixture(scope="module")
def small():
    network = networks.create(name="resnet18", num_classes=7, width=0.1, dtype="bfloat16")
    images = jax.random.uniform(jax.random.key(1), (3, 24, 24, 1))
    return network, jax.jit(network.init)(jax.random.key(0), images), images


def test_units_begin_as_their_shortcut(small):
    variables = small[1]["params"]
    for unit in ("block1_unit1", "block4_unit2"):
        assert not np.any(variables[unit]["norm2"]["scale"])
        assert np.all(variables[unit]["norm1"]["scale"] == 1)
    assert "shortcut_conv" in variables["block2_unit1"]
    assert "shortcut_conv" not in variables["block1_unit1"]


def test_logits_and_parameters_stay_float32_and_a_padded_row_changes_nothing(small):
    network, variables, images = small
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    @jax.jit
    def train(images, mask):
        return network.apply(variables, images, Context(train=True, mask=mask), mutable=["batch_stats"])

    logits, statistics = train(images, jnp.array([True, True, False]))
    assert logits.dtype == jnp.float32
    other, others = train(images.at[2].set(9.0), jnp.array([True, True, False]))
    np.testing.assert_array_equal(logits[:2], other[:2])
    jax.tree.map(np.testing.assert_array_equal, statistics, others)


def test_the_stems_stride_halves_the_sides_once():
    for stride, least in ((1, 8), (2, 16)):
        network = networks.create(name="resnet18", num_classes=7, width=0.1, resnet_stem_stride=stride)
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, least, least, 1)))
        with pytest.raises(ValueError, match=f"at least {least}x{least} pixels"):
            jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, least - 1, least, 1)))
