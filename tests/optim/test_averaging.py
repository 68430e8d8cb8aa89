"""The average of the weights against its formula, and what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.optim.averaging import Averaging
from ferjax.state import best_variables, network_variables
from ferjax.step import make_finish_epoch
from tests.optim.test_groups import FROZEN2, Run
from tests.tiny import draw_batch

DECAY = 0.6


def test_the_average_equals_its_formula():
    weights = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    averaging, expected = Averaging(DECAY), weights[0].astype(float)
    average, update = averaging.init({"a": jnp.asarray(weights[0])}), jax.jit(averaging.update)
    for step, new in enumerate(weights[1:]):
        average = update(average, {"a": jnp.asarray(new)}, jnp.int32(step))
        decay = min(DECAY, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * new
        np.testing.assert_allclose(average["a"], expected, rtol=1e-5)
    assert not np.allclose(expected, weights[-1], atol=1e-2)


def test_off_it_leaves_nothing_in_the_state():
    state = Run(((".*", 1.0),)).state
    assert not jax.tree.leaves(state.average)
    assert network_variables(state)["params"] is state.params


def test_the_network_is_the_average_and_frozen_parameters_keep_their_bits_in_it():
    run = Run(FROZEN2, average_decay=DECAY)
    averaging, step = Averaging(DECAY), jax.jit(run.step)
    state, expected = run.state, averaging.init({"params": run.state.params, "batch_stats": run.state.batch_stats})
    update = jax.jit(averaging.update)
    for number in range(3):
        state = step(state, draw_batch(8, seed=number))[0]
        last = {"params": state.params, "batch_stats": state.batch_stats}
        expected = update(expected, last, jnp.int32(number))
    network = network_variables(state)
    for one, other in zip(jax.tree.leaves(network), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(
        network["params"]["block1_conv1"]["kernel"], run.state.params["block1_conv1"]["kernel"]
    )
    assert not np.array_equal(network["params"]["head"]["output"]["kernel"], state.params["head"]["output"]["kernel"])
    # Before an epoch is validated there is no best, and then it is a copy of the same network.
    finished, _ = jax.jit(make_finish_epoch(run.optimizer, "accuracy"))(state, state.epoch_sums)
    for best in (best_variables(state), best_variables(finished)):
        for one, other in zip(jax.tree.leaves(best), jax.tree.leaves(network), strict=True):
            np.testing.assert_array_equal(one, other)
