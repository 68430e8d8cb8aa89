"""Everything that a resumed run needs, as one pytree."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, PyTree, UInt32

from ferjax.optim import Optimizer

# On the device, or fetched from it.
Scalars = Float32[Array, "..."] | Float32[np.ndarray, "..."]


class Sums(flax.struct.PyTreeNode):
    """Totals over examples, never means, so that batches, devices and processes merge by addition."""

    loss: Scalars
    correct: Scalars
    count: Scalars

    @classmethod
    def zero(cls) -> "Sums":
        return cls(loss=jnp.zeros(()), correct=jnp.zeros(()), count=jnp.zeros(()))

    def merge(self, other: "Sums") -> "Sums":
        return jax.tree.map(jnp.add, self, other)


class Best(flax.struct.PyTreeNode):
    """What the best validated epoch left: its variables and its scores; `epoch` is 0 before the first one."""

    params: PyTree
    batch_stats: PyTree
    epoch: Int32[Array, "..."]
    accuracy: Float32[Array, "..."]
    loss: Float32[Array, "..."]


class TrainState(flax.struct.PyTreeNode):
    """`step` counts optimizer updates; `epoch` counts finished and validated passes over the training rows.

    `epoch_sums` gathers the running epoch and `window_sums` the steps since the last logged line, so that a resumed run
    reports the same averages.
    """

    seed: UInt32[Array, "..."]
    step: Int32[Array, "..."]
    epoch: Int32[Array, "..."]
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    plateau: PyTree
    epoch_sums: Sums
    window_sums: Sums
    best: Best
    epochs_since_best: Int32[Array, "..."]


def create_state(seed: UInt32[Array, ""], params: PyTree, batch_stats: PyTree, optimizer: Optimizer) -> TrainState:
    """The state before the first step; `best` gets copies, so that donation owns each buffer once."""
    copy = jax.tree.map(jnp.copy, (params, batch_stats))
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        seed=seed,
        step=zero,
        epoch=jnp.copy(zero),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        plateau=optimizer.init_plateau(),
        epoch_sums=Sums.zero(),
        window_sums=Sums.zero(),
        best=Best(
            params=copy[0],
            batch_stats=copy[1],
            epoch=jnp.copy(zero),
            accuracy=jnp.asarray(-jnp.inf, jnp.float32),
            loss=jnp.asarray(jnp.inf, jnp.float32),
        ),
        epochs_since_best=jnp.copy(zero),
    )


def learning_rate(state: TrainState, optimizer: Optimizer) -> Float32[Array, ""]:
    """The rate of the next update: the schedule's, times the plateau's scale."""
    return optimizer.learning_rate(state.step) * state.plateau.scale
