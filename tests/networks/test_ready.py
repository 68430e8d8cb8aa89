"""A network made ready answers as the network itself does, with every norm folded and every kernel prepared once."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.networks import ready
from ferjax.networks.base import INFERENCE, Classifier
from ferjax.networks.layers.conv import Conv3x3
from ferjax.networks.layers.norm import BatchNorm
from tests.compiling import list_compiled

SIDE = 48
QUICK = ("vgg11", "vgg11_bn", "compact", "resnet18")
# One layer or unit of each kind, where a network has many.
SHORTER = {"vgg11": (1, 1, 1, 1, 1), "vgg11_bn": (1, 1, 1, 1, 1), "resnet18": (1, 1, 1, 1)}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in networks.NETWORKS]


class Twice(Classifier):
    """A network that reads one convolution both with and without its batch norm, and another through two."""

    in_channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, images, context=INFERENCE):
        x = Conv3x3(4, name="read_twice")(images)
        x = x + BatchNorm(name="not_folded")(x, context)
        x = nn.Conv(4, (1, 1), name="with_bias")(x)
        x = BatchNorm(name="folded")(x, context)
        x = BatchNorm(name="second")(nn.relu(x), context)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


def create(name, **options):
    """A small network, with batch norms as training leaves them, and images in its scaling."""
    module = networks.create(name=name, num_classes=7, width=0.1, **options)
    if name in SHORTER:
        module = module.clone(depths=SHORTER[name])
    return module, draw_variables(module), draw_images(module)


def draw_variables(module, side=SIDE):
    """Variables in which no norm is the identity and no bias 0."""
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, side, side, module.in_channels)))
    random = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf if leaf.ndim > 1 else leaf + random.uniform(0.1, 0.5, leaf.shape).astype(np.float32),
        variables,
    )


def draw_images(module, count=2, side=SIDE):
    return np.random.default_rng(2).random((count, side, side, module.in_channels), np.float32)


def test_making_ready_compiles_nothing(caplog):
    module, variables, _ = create("vgg11_bn")
    variables = jax.tree.map(np.asarray, variables)
    with jax.log_compiles():
        ready.Folded(module, variables, (SIDE, SIDE, module.in_channels)).prepare(1)
    assert list_compiled(caplog) == []


def answer(module, variables, images):
    """The probabilities by the variables, ready or not."""
    call = ready.apply if isinstance(variables, ready.Ready) else type(module).apply
    return np.asarray(jax.jit(lambda given, images: jax.nn.softmax(call(module, given, images)))(variables, images))


def count_norms(variables):
    return len({path[:-1] for path, _ in jax.tree_util.tree_leaves_with_path(variables.get("batch_stats", {}))})


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_those_of_the_network(name):
    module, variables, images = create(name)
    folded = ready.Folded(module, variables, images.shape[1:])
    prepared = folded.prepare(len(images))
    expected = answer(module, variables, images)
    assert expected.std(axis=0).max() > 1e-6
    np.testing.assert_allclose(answer(module, prepared, images), expected, rtol=3e-5)
    assert len(prepared.shifts) == count_norms(variables), "every norm is folded"
    assert not prepared.variables.get("batch_stats")
    assert "winograd4" in {kernel.form for kernel in prepared.kernels.values()}
    assert folded.prepare(len(images)).kernels == prepared.kernels, "prepared once"


def test_a_convolution_that_something_else_reads_too_is_not_folded():
    module = Twice(7, "mean", (), 0.0, 1.0, jnp.float32, False)
    variables, images = draw_variables(module, 8), draw_images(module, 2, 8)
    prepared = ready.Folded(module, variables, (8, 8, 1)).prepare(2)
    assert set(prepared.shifts) == {"folded"}
    np.testing.assert_allclose(answer(module, prepared, images), answer(module, variables, images), rtol=1e-5)


def test_a_network_in_half_precision_stays_as_it_is():
    module, variables, images = create("compact", dtype="bfloat16")
    prepared = ready.Folded(module, variables, images.shape[1:]).prepare(2)
    assert not prepared.kernels
    assert not prepared.shifts
    jax.tree.map(np.testing.assert_array_equal, prepared.variables, variables)


def test_exact_convolution_has_no_winograd():
    module, variables, images = create("compact", exact_convolution=True)
    for batch in (1, 64):
        kernels = ready.Folded(module, variables, images.shape[1:]).prepare(batch).kernels
        assert {kernel.form.removesuffix("_left") for kernel in kernels.values()} == {"im2col"}


def test_a_loaded_network_computes_on_ready_kernels_and_keeps_its_own(network, faces):
    before = jax.tree.map(np.asarray, network.variables)
    fresh = dataclasses.replace(network)
    images = faces[0].images[:3]
    direct = jax.jit(fresh.compute_probabilities)(fresh.variables, jnp.asarray(images))
    np.testing.assert_allclose(fresh(images, batch_size=4), direct, rtol=1e-5, atol=1e-7)
    assert fresh._folded.prepare(4).kernels, "it is what the call took"
    jax.tree.map(np.testing.assert_array_equal, before, fresh.variables)
