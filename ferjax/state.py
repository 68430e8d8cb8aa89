"""Everything that a resumed run needs, as one pytree."""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, PyTree, UInt32

from ferjax.optim import Optimizer


@flax.struct.dataclass
class Sums:
    """Totals over examples, never means, so that batches, devices and processes merge by addition."""

    loss: Float32[Array, "..."]
    correct: Float32[Array, "..."]
    count: Float32[Array, "..."]

    @classmethod
    def zero(cls) -> "Sums":
        return cls(*(jnp.zeros((), jnp.float32) for _ in range(3)))

    def merge(self, other: "Sums") -> "Sums":
        return jax.tree.map(jnp.add, self, other)


@flax.struct.dataclass
class Best:
    """What the best validated epoch left: its variables and its scores; `epoch` is 0 before the first one."""

    params: PyTree
    batch_stats: PyTree
    epoch: Int32[Array, ""]
    accuracy: Float32[Array, ""]
    loss: Float32[Array, ""]


@flax.struct.dataclass
class TrainState:
    """`step` counts optimizer updates; `epoch` counts finished and validated passes over the training rows.

    `epoch_sums` gathers the running epoch, so that a run resumed within it reports the same averages.
    """

    seed: UInt32[Array, ""]
    step: Int32[Array, ""]
    epoch: Int32[Array, ""]
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    plateau: PyTree
    epoch_sums: Sums
    best: Best
    epochs_since_best: Int32[Array, ""]


def create_state(seed: int, params: PyTree, batch_stats: PyTree, optimizer: Optimizer) -> TrainState:
    """The state before the first step; `params` and `batch_stats` are copied into `best`, so that donation owns each."""
    copy = jax.tree.map(jnp.copy, (params, batch_stats))
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        seed=jnp.asarray(seed, jnp.uint32),
        step=zero,
        epoch=jnp.copy(zero),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.tx.init(params),
        plateau=optimizer.init_plateau(),
        epoch_sums=Sums.zero(),
        best=Best(*copy, jnp.copy(zero), jnp.asarray(-jnp.inf, jnp.float32), jnp.asarray(jnp.inf, jnp.float32)),
        epochs_since_best=jnp.copy(zero),
    )


def learning_rate(state: TrainState, optimizer: Optimizer) -> Float32[Array, ""]:
    """The rate of the next update: the schedule's, times the plateau's scale."""
    return optimizer.learning_rate(state.step) * state.plateau.scale
