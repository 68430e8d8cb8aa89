import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import networks
from ferjax.networks.layers import conv
from ferjax.networks.layers.norm import BatchNorm
from ferjax.networks.layers.pool import max_pool2x2, pool_globally

DEFAULTS = {"num_classes": 7, "pool": "max", "hidden": (), "dropout": 0.0, "width": 1.0, "dtype": "float32"}


def count_parameters(**changed):
    model = networks.create(**{**DEFAULTS, **changed})
    image = jnp.zeros((1, 48, 48, model.in_channels))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])), shapes


def test_vgg19_has_the_published_parameters():
    total, shapes = count_parameters(name="vgg19")
    head = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]["head"]))
    assert (total - head, head) == (20_024_384, 3_591)


# torchvision's counts of `features`, whose batch norm has two parameters a channel.
@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("vgg11", 9_220_480),
        ("vgg13", 9_404_992),
        ("vgg16", 14_714_688),
        ("vgg11_bn", 9_225_984),
        ("vgg19_bn", 20_035_392),
    ],
)
def test_other_vggs_have_the_published_parameters(name, features):
    assert count_parameters(name=name)[0] == features + 3_591


def test_head_sizes_follow_the_config():
    assert count_parameters(name="vgg11", pool="both")[0] == 9_220_480 + 1024 * 7 + 7
    assert count_parameters(name="vgg11", hidden=(10,))[0] == 9_220_480 + 513 * 10 + 11 * 7
    assert count_parameters(name="vgg11", width=0.5)[0] < 9_220_480 / 3


@pytest.mark.parametrize("name", ["vgg11_bn", "compact"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_and_parameters_are_float32(name, dtype):
    model = networks.create(**{**DEFAULTS, "name": name, "dtype": dtype, "width": 0.1})
    image = jnp.ones((2, 48, 48, model.in_channels), dtype)
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), image)
    apply = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    logits, updated = apply(variables, image)
    assert logits.shape == (2, 7)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updated))} == {jnp.dtype("float32")}


def test_dropout_acts_in_training_only():
    model = networks.create(**{**DEFAULTS, "name": "compact", "dropout": 0.5, "width": 0.1})
    image = jax.random.normal(jax.random.key(1), (2, 48, 48, 1))
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), image)

    @functools.partial(jax.jit, static_argnums=0)
    def apply(train, key):
        return model.apply(
            variables, image, train=train, mutable=["batch_stats"], rngs={"dropout": jax.random.key(key)}
        )[0]

    assert (apply(True, 0) != apply(True, 1)).any()
    np.testing.assert_array_equal(apply(False, 0), apply(False, 1))


def test_batch_norm_equals_flax():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 6, 6, 5))
    g = jax.random.normal(jax.random.key(1), x.shape)
    ours, theirs = BatchNorm(), nn.BatchNorm(momentum=0.9, epsilon=1e-5)
    variables = ours.init(jax.random.key(0), x, train=True)
    variables["params"]["scale"] = jnp.arange(1.0, 6.0)

    def run(apply):
        def outputs(params, x):
            y, updated = apply({**variables, "params": params}, x)
            return (y * g).sum(), (y, updated)

        gradients, (y, updated) = jax.grad(outputs, (0, 1), has_aux=True)(variables["params"], x)
        return y, updated, gradients

    mine = run(lambda v, x: ours.apply(v, x, train=True, mutable=["batch_stats"]))
    flax = run(lambda v, x: theirs.apply(v, x, use_running_average=False, mutable=["batch_stats"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), mine, flax)
    np.testing.assert_allclose(
        ours.apply({**variables, **mine[1]}, x, train=False),
        theirs.apply({**variables, **mine[1]}, x, use_running_average=True),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("side", [6, 7])
def test_max_pool_equals_reduce_window(side):
    x = jax.random.normal(jax.random.key(0), (2, side, side, 3))

    def reference(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    np.testing.assert_array_equal(max_pool2x2(x), reference(x))
    gradients = [jax.grad(lambda x, f=f: (f(x) ** 2).sum())(x) for f in (max_pool2x2, reference)]
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


@pytest.mark.parametrize("name", ["vgg11", "compact"])
def test_exact_convolution_reaches_every_layer(name, monkeypatch):
    monkeypatch.setattr(conv, "choose_tile", lambda *_: 4)
    seen = []
    monkeypatch.setattr(conv, "_conv_cpu", lambda x, kernel, m: seen.append(m) or conv._conv_xla(x, kernel))
    for exact in (False, True):
        model = networks.create(
            name=name, num_classes=7, pool="max", hidden=(), dropout=0.0, width=0.05, dtype="float32",
            exact_convolution=exact,
        )  # fmt: skip
        seen.clear()
        jax.eval_shape(lambda m=model: m.init(jax.random.key(0), jnp.zeros((1, 48, 48, m.in_channels)), train=False))
        assert set(seen) == {0 if exact else 4}
