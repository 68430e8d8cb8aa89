"""The program that a run dispatches, and the shapes of its arguments as they lie on a device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from ml_collections import ConfigDict

from ferjax.data.resident import Resident
from ferjax.parallel import Layout, make_dispatch
from ferjax.training.build import Task, build

# FER-2013's training rows, by class.
TASK = Task((48, 48, 1), (3995, 436, 4097, 7215, 4830, 3171, 4965))
Program = Callable[..., Any]


def describe_dispatch(config: ConfigDict, steps: int, seeds: int, device: Any) -> tuple[Program, list[PyTree]]:
    """Return the function of a run's dispatch of up to `steps` steps, and the shapes of its arguments on `device`.

    With several `seeds` they train side by side on that device.
    """
    parts = build(config, TASK)
    mesh = jax.sharding.Mesh(np.asarray([device]), ("shards",))
    layout = Layout(mesh, "seeds" if seeds > 1 else "mesh", seeds)
    dispatch = make_dispatch(
        parts.train_step,
        layout,
        num_classes=TASK.num_classes,
        batch_size=config.train.batch_size,
        log_every_steps=config.train.log_every_steps,
        at_most=steps,
    )

    def create(seed: Any) -> Any:
        return parts.create_state(seed, parts.create_variables(seed))

    state = jax.eval_shape(create, jax.ShapeDtypeStruct((), jnp.uint32))
    order = jax.ShapeDtypeStruct((2 * TASK.rows,), jnp.int32)
    if seeds > 1:
        state, order = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((seeds, *leaf.shape), leaf.dtype), (state, order))
    split = jax.eval_shape(
        lambda: Resident(jnp.zeros((TASK.rows, *TASK.image_shape), jnp.uint8), jnp.zeros(TASK.rows, jnp.int32))
    )
    placed = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=jax.sharding.SingleDeviceSharding(device)),
        (state, order, split, jax.ShapeDtypeStruct((), jnp.int32)),
    )

    def one(state: Any, order: Any, split: Any, steps: Any) -> Any:
        return dispatch(0, state, order, split, steps)

    # As Layout.map_seeds does it for several slots of one device.
    return (one if seeds == 1 else jax.vmap(one, (0, 0, None, None))), list(placed)
