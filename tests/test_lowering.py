"""What the training step hands to XLA for a GPU and a TPU: lowered here for platforms that this machine needn't have.

docs/performance.md says what only a device can show.
"""

import functools
import re

import jax
import jax.numpy as jnp
import pytest

from tests.tiny import create_first_state, create_parts, draw_batch

BATCH = 8
CONVOLUTIONS = {"vgg11": 3, "compact": 2}
SHORTER = {"vgg11": {"depths": (1, 1, 1, 0, 0)}, "compact": {}}
CHANGED = {
    "model.pool": "both",
    "model.hidden": (16,),
    "model.dropout": 0.1,
    "augment.shear_deg": 5.0,
    "augment.erase_prob": 0.25,
    "loss.label_smoothing": 0.1,
    "optim.learning_rate": 1e-2,
    "optim.weight_decay": 1e-2,
    "optim.clip_norm": 1.0,
    "optim.schedule": "onecycle",
    "optim.plateau_patience_epochs": 1,
}


@functools.cache
def create_step(name, dtype):
    """The step of a thin network with everything switched on, a state and a batch, both as lists of arrays."""
    parts = create_parts(shorter=SHORTER[name], **{**CHANGED, "model.name": name, "model.dtype": dtype})
    state = create_first_state(parts)
    step, batch = parts.train_step, draw_batch(BATCH)
    states, batches = jax.tree.structure(state), jax.tree.structure(batch)

    def step_of_leaves(state, batch):
        # In lists, since what jax puts in the place of arrays here isn't what the classes' shape checks want.
        new_state, sums, _ = step(states.unflatten(state), batches.unflatten(batch))
        return jax.tree.leaves(new_state), jax.tree.leaves(sums)

    return step_of_leaves, jax.tree.leaves(state), jax.tree.leaves(batch)


@functools.cache
def trace(name, dtype):
    step, state, batch = create_step(name, dtype)
    return jax.jit(step, donate_argnums=0).trace(state, batch)


@functools.cache
def lower(name, dtype, platform):
    return trace(name, dtype).lower(lowering_platforms=(platform,)).as_text()


def find(text, operation):
    """The lines of an operation, each with the types of its operands and results."""
    return [line for line in text.splitlines() if re.search(rf"\b{operation}\b", line)]


def types(line):
    """(shape, element type) of every tensor that a line of StableHLO names, the result's last."""
    found = re.findall(r"tensor<((?:\d+x)*)([a-z]+\d+)>", line.rpartition(" : ")[2])
    return [(tuple(map(int, shape.split("x")[:-1])), element) for shape, element in found]


def find_products(text):
    return [line for line in find(text, "stablehlo.dot_general") if len(types(line)[-1][0]) >= 2]


@pytest.fixture(params=[("vgg11", "float32"), ("vgg11", "bfloat16"), ("compact", "bfloat16")], ids="-".join)
def network(request):
    return request.param


accelerators = pytest.mark.parametrize("platform", ["cuda", "tpu"])


@accelerators
def test_nothing_waits_for_the_host(network, platform):
    text = lower(*network, platform)
    assert not find(text, "stablehlo.(infeed|outfeed|send|recv)")
    # A callback is a custom call. So are kernels that only one platform has, of which none is meant here.
    assert not find(text, "stablehlo.custom_call")


@accelerators
def test_nothing_is_float64(network, platform):
    assert not re.search(r"\bx?(f64|complex<\w+>)>", lower(*network, platform))


@accelerators
def test_three_convolutions_a_layer_and_none_for_the_gradient_of_the_images(network, platform):
    found = find(lower(*network, platform), "stablehlo.convolution")
    layers = CONVOLUTIONS[network[0]]
    kernel_gradients = [line for line in found if types(line)[-1][0][:2] == (3, 3)]
    assert (len(found), len(kernel_gradients)) == (3 * layers - 1, layers)


@accelerators
def test_convolutions_compute_in_the_dtype_that_was_asked_for(network, platform):
    element = {"float32": "f32", "bfloat16": "bf16"}[network[1]]
    for line in find(lower(*network, platform), "stablehlo.convolution"):
        assert {kind for _, kind in types(line)} == {element}


@accelerators
def test_no_convolution_is_made_of_matrix_products(network, platform):
    # Two dense layers, each forward, to its input and to its kernel, and the confusion matrix. Winograd and im2col
    # would be more.
    assert len(find_products(lower(*network, platform))) == 2 * 3 + 1
    if network[1] == "float32":
        assert len(find_products(lower(*network, "cpu"))) > 2 * 3


@accelerators
def test_no_activation_is_transposed(network, platform):
    for line in find(lower(*network, platform), "stablehlo.transpose"):
        assert len(types(line)[-1][0]) == 2


@accelerators
def test_every_array_of_the_state_is_updated_in_place(network, platform):
    _, state, batch = create_step(*network)
    arguments = next(line for line in lower(*network, platform).splitlines() if "func.func public @main" in line)
    arguments = arguments.partition(" -> ")[0]
    assert arguments.count("tensor<") == len(state) + len(batch)
    assert arguments.count("tf.aliasing_output") == len(state)
    # Parameters, moments and statistics stay float32 whatever the network computes in.
    assert "bf16" not in arguments


@accelerators
def test_many_steps_in_one_program_hold_one_step(platform):
    step, state, batch = create_step("compact", "bfloat16")

    def take_steps(state, batches):
        return jax.lax.scan(step, state, batches)

    batches = [jnp.stack([leaf] * 5) for leaf in batch]
    text = jax.jit(take_steps, donate_argnums=0).trace(state, batches).lower(lowering_platforms=(platform,)).as_text()
    assert len(find(text, "stablehlo.convolution")) == 3 * CONVOLUTIONS["compact"] - 1
    assert len(find(text, "stablehlo.while")) == 1
    assert not find(text, "stablehlo.custom_call")


def test_one_export_serves_both():
    # Export refuses operations whose form may change between versions of XLA.
    step, state, batch = create_step("vgg11", "bfloat16")
    exported = jax.export.export(jax.jit(step), platforms=("cuda", "tpu"))(state, batch)
    assert exported.platforms == ("cuda", "tpu")
    assert [out.dtype for out in exported.out_avals[: len(state)]] == [leaf.dtype for leaf in state]
