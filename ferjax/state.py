"""Everything that a resumed run needs, as one pytree."""

from types import MappingProxyType

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, PyTree, UInt32

from ferjax.optim import Optimizer
from ferjax.scores import SCORES, Sums


class Best(flax.struct.PyTreeNode):
    """The network at the best validated epoch (see `network_variables`), and the score by which that is the best.

    Where a run keeps its last epoch, the network and `epoch` are that one's, and `score` is still the best. Before the
    first epoch `epoch` is 0, and `score` is worse than any.
    """

    params: PyTree
    batch_stats: PyTree
    epoch: Int32[Array, "..."]
    score: Float32[Array, "..."]


class TrainState(flax.struct.PyTreeNode):
    """`step` counts optimizer updates; `epoch` counts finished and validated passes over the training rows.

    `average` is the average of the weights, an empty tree where there is none. `epoch_sums` gathers the running epoch
    and `window_sums` the steps since the last logged line, so that a resumed run reports the same averages.
    """

    seed: UInt32[Array, "..."]
    step: Int32[Array, "..."]
    epoch: Int32[Array, "..."]
    params: PyTree
    batch_stats: PyTree
    average: PyTree
    opt_state: PyTree
    plateau: PyTree
    epoch_sums: Sums
    window_sums: Sums
    best: Best
    epochs_since_best: Int32[Array, "..."]


def create_state(
    seed: UInt32[Array, ""],
    variables: dict[str, PyTree],
    optimizer: Optimizer,
    *,
    num_classes: int,
    best_metric: str,
) -> TrainState:
    """Make the state before the first step from a network's "params" and, where it has any, "batch_stats".

    `best` and the average get copies, so that donation owns each buffer once. `best_metric` is the score of SCORES by
    which the best epoch is chosen.
    """
    last = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
    copy = jax.tree.map(jnp.copy, last)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        seed=seed,
        step=zero,
        epoch=jnp.copy(zero),
        **last,
        average=optimizer.averaging.init(last),
        opt_state=optimizer.init(last["params"]),
        plateau=optimizer.init_plateau(),
        epoch_sums=Sums.zero(num_classes),
        window_sums=Sums.zero(num_classes),
        best=Best(
            **copy,
            epoch=jnp.copy(zero),
            score=jnp.asarray(SCORES[best_metric].worst, jnp.float32),
        ),
        epochs_since_best=jnp.copy(zero),
    )


def network_variables(state: TrainState) -> dict[str, PyTree]:
    """Return the variables that are the network: the averaged ones where there is an average, or else the last ones.

    These are what is validated, kept as the best, evaluated, and given to users.
    """
    if state.average:
        average: dict[str, PyTree] = state.average
        return average
    return {"params": state.params, "batch_stats": state.batch_stats}


def best_variables(state: TrainState) -> dict[str, PyTree]:
    """Return the network at the best epoch; where none has been validated yet, as it is."""
    best = {"params": state.best.params, "batch_stats": state.best.batch_stats}
    chosen: dict[str, PyTree] = jax.tree.map(
        lambda kept, now: jnp.where(state.best.epoch > 0, kept, now), best, network_variables(state)
    )
    return chosen


# What a checkpoint must hold as finite numbers, and how it is called; what infects the others comes first. The best
# scores so far begin at infinity.
FINITE = MappingProxyType(
    {
        "params": "parameter",
        "batch_stats": "batch statistics",
        "opt_state": "optimizer's",
        "average": "averaged network's",
        "best": "best epoch's",
    }
)


def flag_finite(state: TrainState) -> dict[str, dict[str, Bool[Array, ""]]]:
    """Return for each array of the parts of FINITE, by its name, whether all of it is finite.

    A step's loss and update do not show all of these: batch norm's running statistics wait for validation, and an
    infinite second moment makes Adam's update 0.
    """
    best = {"params": state.best.params, "batch_stats": state.best.batch_stats}
    parts = {part: best if part == "best" else getattr(state, part) for part in FINITE}
    return {
        part: {
            jax.tree_util.keystr(path, simple=True, separator="/"): jnp.isfinite(leaf).all()
            for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        }
        for part, tree in parts.items()
    }


def learning_rate(state: TrainState, optimizer: Optimizer) -> Float32[Array, ""]:
    """Return the rate of the next update: the schedule's, times the plateau's scale."""
    rate: Float32[Array, ""] = optimizer.learning_rate(state.step) * state.plateau.scale
    return rate
