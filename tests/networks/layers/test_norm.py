import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ferjax.networks.base import Context
from ferjax.networks.layers.norm import BatchNorm


def test_batch_norm_equals_flax():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 6, 6, 5))
    g = jax.random.normal(jax.random.key(1), x.shape)
    ours, theirs = BatchNorm(), nn.BatchNorm(momentum=0.9, epsilon=1e-5)
    variables = ours.init(jax.random.key(0), x, Context(train=True))
    variables["params"]["scale"] = jnp.arange(1.0, 6.0)

    def run(apply):
        def outputs(params, x):
            y, updated = apply({**variables, "params": params}, x)
            return (y * g).sum(), (y, updated)

        gradients, (y, updated) = jax.grad(outputs, (0, 1), has_aux=True)(variables["params"], x)
        return y, updated, gradients

    mine = run(lambda v, x: ours.apply(v, x, Context(train=True), mutable=["batch_stats"]))
    flax = run(lambda v, x: theirs.apply(v, x, use_running_average=False, mutable=["batch_stats"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), mine, flax)
    np.testing.assert_allclose(
        ours.apply({**variables, **mine[1]}, x, Context()),
        theirs.apply({**variables, **mine[1]}, x, use_running_average=True),
        rtol=1e-5,
        atol=1e-5,
    )


def test_in_bfloat16_only_the_result_is_rounded():
    x = (10 + jax.random.normal(jax.random.key(0), (64, 6, 6, 5))).astype(jnp.bfloat16)  # the mean is ten deviations
    variables = BatchNorm().init(jax.random.key(0), x, Context(train=True))

    def normalise(dtype, x):
        return BatchNorm(dtype).apply(variables, x, Context(train=True), mutable=["batch_stats"])[0]

    half, whole = normalise(jnp.bfloat16, x), normalise(jnp.float32, x.astype(jnp.float32))
    assert half.dtype == jnp.bfloat16
    assert float(jnp.square(half.astype(jnp.float32) - whole).mean()) ** 0.5 < 0.003


class Pair(nn.Module):
    """Two batch norms of one name, one of them within another module."""

    nested: bool = True

    @nn.compact
    def __call__(self, x, context):
        if self.nested:
            x = Pair(nested=False, name="inner")(x, context)
        return BatchNorm(name="norm")(x, context)


def test_a_layer_is_frozen_by_its_own_path():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 6, 6, 5))
    variables = Pair().init(jax.random.key(0), x, Context())
    before = variables["batch_stats"]
    for frozen, free in (("inner/norm", "norm"), ("norm", "inner/norm")):
        context = Context(train=True, frozen=frozenset({frozen}))
        after = Pair().apply(variables, x, context, mutable=["batch_stats"])[1]["batch_stats"]
        for path, moves in ((frozen, False), (free, True)):
            old, new = before, after
            for name in path.split("/"):
                old, new = old[name], new[name]
            assert np.array_equal(old["mean"], new["mean"]) != moves
