"""A small training state, for drills that need no training."""

import jax
import jax.numpy as jnp

from ferjax.config import load_config
from ferjax.state import TrainState
from ferjax.training.build import Task, build


def create_state() -> TrainState:
    """Return the first state of a small network."""
    parts = build(load_config("quickstart", {"model.width": 0.05}), Task((48, 48, 1), (16,) * 7))
    seed = jnp.uint32(0)
    state: TrainState = jax.jit(lambda: parts.create_state(seed, parts.create_variables(seed)))()
    return state
