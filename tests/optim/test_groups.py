"""Freezing, multipliers and gradual unfreezing on a small batch-normalised network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import optim
from ferjax.networks.base import Context
from ferjax.optim.groups import Group, flatten, join, parse
from tests.tiny import STILL, create_first_state, create_parts, draw_batch

# Blocks of one, one and two convolutions.
STAGES = {"stages": ((64,), (128,), (256, 256))}
FROZEN2 = (("block[12]_.*", "frozen"), (".*", 1.0))
FREE = {"block3_conv1", "block3_conv2", "block3_norm1", "block3_norm2"}


@functools.cache
def variables():
    return create_first_state(create_parts(shorter=STAGES, **{"model.dropout": 0.0}), 0).params


class Run:
    """A network with its optimizer, taking steps on one batch."""

    def __init__(self, groups, **changes):
        optim = {f"optim.{name}": value for name, value in {"groups": groups, **changes}.items()}
        parts = create_parts(shorter=STAGES, **{**STILL, "model.dropout": 0.0, "optim.learning_rate": 1e-2, **optim})
        self.network, self.optimizer, self.step = parts.network, parts.optimizer, parts.train_step
        self.state = create_first_state(parts, 0)

    def take(self, steps=1, epoch=0):
        step = jax.jit(functools.partial(self.step, epoch=epoch))
        state = self.state
        for _ in range(steps):
            state = step(state, draw_batch(8))[0]
        return state


def changed_layers(one, other):
    one, other = flatten(one), flatten(other)
    return {name.partition("/")[0] for name in one if not np.array_equal(one[name], other[name])}


def test_frozen_blocks_keep_their_bits_and_statistics_and_have_no_moments():
    run = Run(FROZEN2, weight_decay=0.1)
    after = run.take(3)
    assert changed_layers(run.state.params, after.params) == FREE | {"head"}
    assert changed_layers(run.state.batch_stats, after.batch_stats) == {name for name in FREE if "norm" in name}
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(after.opt_state)[0]]
    assert not [name for name in names if "block1" in name or "block2" in name]
    assert [name for name in names if "block3" in name]


def test_frozen_batch_norm_normalises_by_its_running_statistics():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(8, 48, 48, 1)), jnp.float32)
    everything = frozenset(name.rpartition("/")[0] for name in flatten(variables()))
    run = Run(((".*", 1.0),))
    model, state = run.network, {"params": run.state.params, "batch_stats": run.state.batch_stats}
    apply = jax.jit(model.apply)
    inference = apply(state, images)
    frozen = apply(state, images, Context(train=True, frozen=everything))
    np.testing.assert_array_equal(frozen, inference)
    trained, _ = jax.jit(functools.partial(model.apply, mutable=["batch_stats"]))(state, images, Context(train=True))
    assert not np.allclose(trained, inference, atol=1e-3)


def test_the_gradient_of_frozen_blocks_is_not_computed():
    def count_flops(groups):
        run, batch = Run(groups), draw_batch(8)
        step = jax.jit(lambda images: run.step(run.state, batch.replace(images=images)))
        return step.lower(batch.images).cost_analysis()["flops"]

    # A step's forward pass is about a third of its arithmetic.
    assert count_flops((("block.*", "frozen"), (".*", 1.0))) < 0.5 * count_flops(((".*", 1.0),))


def test_a_multiplier_scales_the_update_and_the_first_match_wins():
    params = flatten(variables())
    gradients = {
        name: jnp.asarray(np.linspace(-1, 1, leaf.size, dtype=np.float32).reshape(leaf.shape))
        for name, leaf in params.items()
    }
    found = []
    for groups in (((".*", 1.0),), (("block1_conv1/.*", 0.25), ("block1.*", 0.5), (".*", 1.0))):
        optimizer = optim.create(weight_decay=0.1, groups=groups, epochs=3, steps_per_epoch=4.0)
        state = jax.jit(optimizer.init)(variables())
        found.append(jax.device_get(jax.jit(optimizer.find_updates)(gradients, state, params)[0]))
    for name, update in found[0].items():
        factor = 0.25 if name.startswith("block1_conv1") else 0.5 if name.startswith("block1") else 1.0
        np.testing.assert_allclose(found[1][name], factor * update, rtol=1e-6)


def test_unfreezing_starts_adam_anew():
    run = Run((("block3_.*", 1.0, 2), ("block.*", "frozen"), (".*", 1.0)))
    run.state = run.take(5, epoch=1)
    assert changed_layers(run.state.params, variables()) == {"head"}
    after = run.take(1, epoch=2)
    assert changed_layers(run.state.params, after.params) == FREE | {"head"}
    # The first update of Adam is the sign of the gradient, whatever the others' count is by then.
    moved = np.abs(np.asarray(after.params["block3_norm1"]["bias"] - run.state.params["block3_norm1"]["bias"]))
    np.testing.assert_allclose(moved, 1e-2, rtol=1e-2)


def test_clipping_sees_only_what_trains():
    gradients = {"head/kernel": jnp.full((4,), 3.0)}
    optimizer = optim.create(
        clip_norm=1.0, b1=0.0, eps=1.0, groups=(("a", "frozen"), (".*", 1.0)), epochs=3, steps_per_epoch=4.0
    )
    state = optimizer.init({"a": jnp.ones(2), "head": {"kernel": jnp.ones(4)}})
    updates, _ = optimizer.find_updates(gradients, state, {"head/kernel": jnp.ones(4)})
    np.testing.assert_allclose(updates["head/kernel"], -0.5 / (0.5 + 1), rtol=1e-5)


def test_frozen_layers_are_told_apart_by_their_whole_path():
    block = {"conv": {"kernel": np.zeros(2)}, "norm": {"scale": np.zeros(2), "bias": np.zeros(2)}}
    params = {"stage1": {"block0": block, "block1": block}, "head": {"output": {"kernel": np.zeros(2)}}}
    groups = parse([["stage1/block0/.*", "frozen"], ["stage1/block1/norm/bias", "frozen"], [".*", 1.0]])
    assert groups.frozen_layers(params, 0) == {"stage1/block0/conv", "stage1/block0/norm"}


def test_patterns_match_whole_names_in_order():
    params = {"block1_conv1": {"kernel": np.zeros((3, 3))}, "block10_conv1": {"kernel": np.zeros(2)}}
    groups = parse([["block1_.*", "frozen"], [".*", 0.5, 3]])
    trained, frozen = groups.split(params, 3)
    assert (list(trained), list(frozen)) == (["block10_conv1/kernel"], ["block1_conv1/kernel"])
    assert groups.frozen_layers(params, 3) == {"block1_conv1"}
    assert groups.rules[1] == Group(".*", 0.5, 3)
    assert [(str(rule), size) for rule, size in groups.describe(params)] == [
        ("frozen", 9),
        ("0.5 times the learning rate after 3 frozen epochs", 2),
    ]
    assert join(trained, frozen).keys() == params.keys()
    three = parse([["a", 1.0, 4], ["b", 1.0, 1], [".*", 1.0]])
    assert [three.phase(epoch) for epoch in (0, 1, 3, 4, 9)] == [0, 1, 1, 4, 4]
    with pytest.raises(ValueError, match="no pattern for block10_conv1/kernel: "):
        parse([["block1_.*", 1.0]]).split(params, 0)
