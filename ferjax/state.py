"""Everything that a resumed run needs, as one pytree."""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, PyTree, UInt32

from ferjax.optim import Optimizer
from ferjax.scores import SCORES, Sums


class Best(flax.struct.PyTreeNode):
    """What the best validated epoch left: its variables, and its score by which it is the best.

    Before the first one `epoch` is 0, and `score` is worse than any.
    """

    params: PyTree
    batch_stats: PyTree
    epoch: Int32[Array, "..."]
    score: Float32[Array, "..."]


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


def create_state(
    seed: UInt32[Array, ""],
    params: PyTree,
    batch_stats: PyTree,
    optimizer: Optimizer,
    *,
    num_classes: int,
    best_metric: str,
) -> TrainState:
    """Make the state before the first step; `best` gets copies, so that donation owns each buffer once.

    `best_metric` is the score of SCORES by which the best epoch is chosen.
    """
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
        epoch_sums=Sums.zero(num_classes),
        window_sums=Sums.zero(num_classes),
        best=Best(
            params=copy[0],
            batch_stats=copy[1],
            epoch=jnp.copy(zero),
            score=jnp.asarray(SCORES[best_metric].worst, jnp.float32),
        ),
        epochs_since_best=jnp.copy(zero),
    )


def learning_rate(state: TrainState, optimizer: Optimizer) -> Float32[Array, ""]:
    """The rate of the next update: the schedule's, times the plateau's scale."""
    return optimizer.learning_rate(state.step) * state.plateau.scale
