"""Adam over groups of parameters, the learning-rate schedule, and its cut when validation stops improving."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float32, Int, PyTree

from ferjax.optim.groups import Groups, Named, flatten, parse
from ferjax.scores import SCORES, Sums

PlateauState: TypeAlias = optax.contrib.ReduceLROnPlateauState


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Pure functions; every piece of state is a pytree that the caller keeps.

    `init(params)` makes the state; `find_updates(gradients, state, params)` returns what to add to parameters per unit
    of learning rate, and the new state: all by name, and only of those that train in this epoch (`groups.split`).
    `learning_rate(step)` is the scheduled rate before the plateau's scale.
    `update_plateau(state, sums)` is fed once an epoch with validation's sums; `state.scale`, float32 in (0, 1], is what
    the rate of the following epoch is to be multiplied by.
    """

    groups: Groups
    init: Callable[[PyTree], PyTree]
    find_updates: Callable[[Named, PyTree, Named], tuple[Named, PyTree]]
    learning_rate: Callable[[int | Int[Array, ""]], Float32[Array, ""]]
    init_plateau: Callable[[], PlateauState]
    update_plateau: Callable[[PlateauState, Sums], PlateauState]


def create(
    *,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    clip_norm: float,
    groups: Any,
    schedule: str,
    warmup_epochs: float,
    plateau_metric: str,
    plateau_patience_epochs: int,
    plateau_factor: float,
    plateau_min_delta: float,
    plateau_min_learning_rate: float,
    epochs: int,
    steps_per_epoch: float,
) -> Optimizer:
    """Make the optimizer of the config's `optim` group for a run of `epochs` times `steps_per_epoch` steps.

    Adam is Kingma & Ba 2015 (arXiv 1412.6980, algorithm 1) with bias-corrected moments, `eps` outside the root; Keras
    adds `eps` before the correction, which differs while gradients are near it. Weight decay is decoupled (Loshchilov &
    Hutter 2019, arXiv 1711.05101), multiplied by the learning rate, and reaches only parameters called 'kernel'. The
    gradient is clipped by its global norm, over the parameters that train, before Adam sees it.

    Raises ValueError for an unknown schedule or metric, for a warm-up that leaves a cosine no step, and for groups that
    can't be read.
    """
    if plateau_metric not in SCORES:
        raise ValueError(f"optim.plateau_metric {plateau_metric!r} is not one of {', '.join(SCORES)}.")
    score = SCORES[plateau_metric]
    rate = make_schedule(
        name=schedule,
        peak=learning_rate,
        warmup_steps=round(warmup_epochs * steps_per_epoch),
        total_steps=math.ceil(epochs * steps_per_epoch),
    )
    parts = [optax.scale_by_adam(b1=b1, b2=b2, eps=eps)]
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, mask=kernel_mask))
    parsed = parse(groups)
    init, find_updates = _make_grouped(parsed, optax.chain(*parts), clip_norm)
    init_plateau, update_plateau = make_plateau(
        higher_is_better=score.higher_is_better,
        patience_epochs=plateau_patience_epochs,
        factor=plateau_factor,
        min_delta=plateau_min_delta,
        min_scale=plateau_min_learning_rate / learning_rate,
    )
    return Optimizer(
        groups=parsed,
        init=init,
        find_updates=find_updates,
        learning_rate=rate,
        init_plateau=init_plateau,
        update_plateau=lambda state, sums: update_plateau(state, score.of(sums)),
    )


def _make_grouped(
    groups: Groups, tx: optax.GradientTransformation, clip_norm: float
) -> tuple[Callable[[PyTree], PyTree], Callable[..., tuple[Named, PyTree]]]:
    """Make `init` and `find_updates` of an Optimizer from a transformation without a learning rate.

    Parameters that begin to train at the same epoch share a state, and with it Adam's count: with the run's count, the
    first updates of newly unfrozen parameters, whose moments are still zero, would be three times too large.
    """

    def init(params: PyTree) -> PyTree:
        named = flatten(params)
        rules = groups.assign(named)
        return {
            f"from_epoch_{start}": tx.init({name: named[name] for name in named if rules[name].start_epoch == start})
            for start in groups.starts
        }

    def find_updates(gradients: Named, state: PyTree, params: Named) -> tuple[Named, PyTree]:
        rules = groups.assign(gradients)
        new_state, updates = dict(state), Named()
        # Optax's Adam raises a float to an integer power, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            if clip_norm:
                gradients, _ = optax.clip_by_global_norm(clip_norm).update(gradients, optax.EmptyState())
            for start in {int(rules[name].start_epoch) for name in gradients}:
                part, key = [name for name in gradients if rules[name].start_epoch == start], f"from_epoch_{start}"
                directions, new_state[key] = tx.update(
                    {name: gradients[name] for name in part}, state[key], {name: params[name] for name in part}
                )
                updates |= {name: -rules[name].multiplier * directions[name] for name in part}
        return updates, new_state

    return init, find_updates


def make_schedule(
    *, name: str, peak: float, warmup_steps: int, total_steps: int
) -> Callable[[int | Int[Array, ""]], Float32[Array, ""]]:
    """Make `rate(step)`, the learning rate of the step taken after `step` others.

    'constant' is `peak` after a linear warm-up from 0. 'cosine' is the same warm-up, then half a cosine down to 0 at
    `total_steps` (Loshchilov & Hutter 2017, arXiv 1608.03983). 'onecycle' rises by a cosine from peak / 25 to peak over
    the first 30 % of `total_steps` and falls to peak / 250000 (Smith & Topin 2017, arXiv 1708.07120); it has no other
    warm-up.
    """
    if name == "constant":
        # Without a warm-up optax's warmup_constant_schedule stays at 0 for ever.
        scheduled = optax.warmup_constant_schedule(0.0, peak, warmup_steps) if warmup_steps else lambda _: peak
    elif name == "cosine":
        if warmup_steps >= total_steps:
            raise ValueError(
                f"optim.warmup_epochs takes {warmup_steps} steps of {total_steps}, and a cosine needs some after it."
            )
        scheduled = optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, total_steps)
    elif name == "onecycle":
        scheduled = optax.cosine_onecycle_schedule(total_steps, peak)
    else:
        raise ValueError(f"optim.schedule {name!r} is not one of 'constant', 'cosine' and 'onecycle'.")

    def rate(step: int | Int[Array, ""]) -> Float32[Array, ""]:
        # Optax mixes integers, booleans and floats here, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(scheduled(jnp.asarray(step, jnp.int32)), jnp.float32)

    return rate


def make_plateau(
    *, higher_is_better: bool, patience_epochs: int, factor: float, min_delta: float, min_scale: float
) -> tuple[Callable[[], PlateauState], Callable[[PlateauState, ArrayLike], PlateauState]]:
    """Make `init()` and `update(state, value)` with the rule of Keras's `ReduceLROnPlateau`.

    The scale is multiplied by `factor` after `patience_epochs` epochs in a row, none of which was better by more than
    `min_delta` than the best so far, and never falls below `min_scale`; 0 epochs is off. Optax's rule is the same save
    for three things mended here: it would raise a rate that starts below the floor, refuses a `min_delta` of 0, and
    fails under strict promotion. A first value that is NaN is ignored here, while Keras never improves on it.
    """
    plateau = optax.contrib.reduce_on_plateau(
        factor=factor,
        patience=patience_epochs,
        rtol=0.0,
        # The least normal float32: adding it to a metric changes nothing, so that any improvement counts.
        atol=max(min_delta, float(jnp.finfo(jnp.float32).tiny)),
        min_scale=min(min_scale, 1.0),
    )

    def init() -> PlateauState:
        # The state takes its dtype from the parameters it is shown.
        return plateau.init(jnp.zeros((), jnp.float32))

    def update(state: PlateauState, value: ArrayLike) -> PlateauState:
        if not patience_epochs:
            return state
        value = jnp.asarray(value, jnp.float32)
        with jax.numpy_dtype_promotion("standard"):
            _, state = plateau.update({}, state, value=-value if higher_is_better else value)
        return state

    return init, update


def kernel_mask(params: Named) -> dict[str, bool]:
    """True where a parameter is the kernel of a convolution or dense layer, False for biases, scales and the rest."""
    return {name: name.endswith("kernel") for name in params}
