"""The optimizer as the training step sees it, and the states of groups of parameters."""

import dataclasses
from collections.abc import Callable

import jax
import optax
from jaxtyping import Array, Float32, Int, PyTree

from ferjax.optim.averaging import Averaging
from ferjax.optim.groups import Groups, Named, flatten
from ferjax.optim.plateau import PlateauState
from ferjax.optim.shares import Shares
from ferjax.scores import Sums


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Pure functions; every piece of state is a pytree that the caller keeps.

    `init(params)` makes the state; `find_updates(gradients, state, params, shares=None)` returns what to add to
    parameters per unit of learning rate, and the new state: all by name, and only of those that train in this epoch
    (`groups.split`); with `shares` the devices divide the work.
    `learning_rate(step)` is the scheduled rate before the plateau's scale.
    `update_plateau(state, sums)` is fed once an epoch with validation's sums; `state.scale`, float32 in (0, 1], is what
    the rate of the following epoch is to be multiplied by. `averaging` makes the average of the weights.
    """

    groups: Groups
    init: Callable[[PyTree], PyTree]
    find_updates: Callable[..., tuple[Named, PyTree]]
    learning_rate: Callable[[int | Int[Array, ""]], Float32[Array, ""]]
    init_plateau: Callable[[], PlateauState]
    update_plateau: Callable[[PlateauState, Sums], PlateauState]
    averaging: Averaging


def make_grouped(
    groups: Groups, tx: optax.GradientTransformationExtraArgs, clip_norm: float
) -> tuple[Callable[[PyTree], PyTree], Callable[..., tuple[Named, PyTree]]]:
    """Make `init` and `find_updates` of an Optimizer from a transformation without a learning rate.

    Parameters that begin to train at the same epoch share a state, and with it Adam's count of steps. With the run's
    count, the first updates of newly unfrozen parameters, whose moments are still zero, would be three times too large.
    """

    def init(params: PyTree) -> PyTree:
        named = flatten(params)
        rules = groups.assign(named)
        return {
            f"from_epoch_{start}": tx.init({name: named[name] for name in named if rules[name].start_epoch == start})
            for start in groups.starts
        }

    def find_updates(
        gradients: Named, state: PyTree, params: Named, shares: Shares | None = None
    ) -> tuple[Named, PyTree]:
        rules = groups.assign(gradients)
        new_state, updates = dict(state), Named()
        # Optax's Adam raises a float to an integer power, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            if clip_norm:
                gradients, _ = optax.clip_by_global_norm(clip_norm).update(gradients, optax.EmptyState())
            for start in {int(rules[name].start_epoch) for name in gradients}:
                part, key = [name for name in gradients if rules[name].start_epoch == start], f"from_epoch_{start}"
                directions, new_state[key] = tx.update(
                    {name: gradients[name] for name in part},
                    state[key],
                    {name: params[name] for name in part},
                    shares=shares,
                )
                updates |= {name: -rules[name].multiplier * directions[name] for name in part}
        return updates, new_state

    return init, find_updates


def kernel_mask(params: Named) -> dict[str, bool]:
    """Return whether each parameter is the kernel of a convolution or dense layer, and not a bias, scale or another."""
    return {name: name.endswith("kernel") for name in params}
