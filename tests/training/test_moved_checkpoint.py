"""A checkpoint goes from one device to four and back, and no bit of it changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.parallel import create_layout, initialize
from ferjax.training.checkpoint import Checkpoints, flatten_state
from ferjax.training.places import Place
from tests.tiny import create_parts


@pytest.fixture(scope="module")
def parts():
    return create_parts(**{"model.name": "compact", "optim.average_decay": 0.9})


def create_state(parts, devices, mode, seed):
    layout, number = create_layout(mode, devices), jnp.uint32(seed)

    def create():
        return parts.create_state(number, parts.create_variables(number))

    return initialize(create, layout)


def to_bits(state):
    return {name: np.asarray(leaf).tobytes() for name, leaf in flatten_state(state).items()}


@pytest.mark.parametrize("mode", ["mesh", "pmap"])
def test_a_checkpoint_goes_from_one_device_to_four_and_back(parts, mode, tmp_path):
    first = create_state(parts, 1, mode, seed=1)
    expected, folder = to_bits(first), tmp_path / "checkpoints"
    state = first
    for step, devices in enumerate((4, 1)):
        checkpoints = Checkpoints(folder)
        checkpoints.save(Place(True, step, validated=True), state)
        checkpoints.close()
        like = create_state(parts, devices, mode, seed=2)
        assert to_bits(like) != expected
        checkpoints = Checkpoints(folder)
        state = checkpoints.restore(like, best_metric="accuracy")
        checkpoints.close()
        assert to_bits(state) == expected
        assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)} == {devices}
