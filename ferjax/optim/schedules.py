"""Learning-rate schedules.

To add one: a function here, or in a file of its own, and a line in SCHEDULES.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float32, Int

from ferjax.ingredients import Ingredient, join_keys
from ferjax.keys import NOT_NEGATIVE, Choice, Key, Keys

Schedule: TypeAlias = Callable[[int | Int[Array, ""]], Float32[Array, ""]]

_WARMUP: Keys = {
    "warmup_epochs": Key(
        0.0,
        NOT_NEGATIVE,
        "epochs at the start in which the learning rate rises from 0 in a straight line; 'onecycle' does not read it",
    )
}


def count_steps(steps: int | float) -> int:
    """Return a number of steps as a whole number, at most the largest int32: the schedules count with those."""
    return round(min(steps, 2**31 - 1))


def create_constant(*, peak: float, total_steps: int, steps_per_epoch: float, warmup_epochs: float) -> optax.Schedule:
    """Make a rate that is `peak` after a linear warm-up from 0."""
    warmup_steps = count_steps(warmup_epochs * steps_per_epoch)
    # Without a warm-up optax's warmup_constant_schedule stays at 0 for ever.
    return optax.warmup_constant_schedule(0.0, peak, warmup_steps) if warmup_steps else lambda _: peak


def create_cosine(*, peak: float, total_steps: int, steps_per_epoch: float, warmup_epochs: float) -> optax.Schedule:
    """Make a linear warm-up from 0 to `peak`, then half a cosine down to 0 at `total_steps`.

    Loshchilov & Hutter 2017, arXiv 1608.03983. Raises ValueError for a warm-up that leaves the cosine no step.
    """
    warmup_steps = count_steps(warmup_epochs * steps_per_epoch)
    if warmup_steps >= total_steps:
        raise ValueError(
            f"optim.warmup_epochs takes {warmup_steps} steps of {total_steps}, and a cosine needs some after it: lower "
            "it, to 0 if need be, or raise train.epochs."
        )
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, total_steps)


def create_onecycle(*, peak: float, total_steps: int, steps_per_epoch: float) -> optax.Schedule:
    """Make a rate that rises by a cosine from peak / 25 to `peak` over the first 30 % of `total_steps`.

    It then falls to peak / 250000 (Smith & Topin 2017, arXiv 1708.07120). It has no other warm-up.
    """
    return optax.cosine_onecycle_schedule(total_steps, peak)


SCHEDULES: Mapping[str, Ingredient[optax.Schedule]] = types.MappingProxyType(
    {
        "constant": Ingredient(create_constant, _WARMUP),
        "cosine": Ingredient(create_cosine, _WARMUP),
        "onecycle": Ingredient(create_onecycle),
    }
)
_KEYS: Keys = {
    "schedule": Key(
        "constant",
        Choice(tuple(SCHEDULES)),
        "how the learning rate changes during the run: 'constant' stays, 'cosine' falls to 0 at the last "
        "epoch, 'onecycle' rises for 30 % of the run and then falls",
    )
}
KEYS: Keys = join_keys(_KEYS, *(schedule.keys for schedule in SCHEDULES.values()))


def make_schedule(*, peak: float, total_steps: int, steps_per_epoch: float, options: Mapping[str, Any]) -> Schedule:
    """Make `rate(step)`, the learning rate of the step taken after `step` others, of `options` by the names of KEYS.

    Raises ValueError for an unknown schedule, and what a schedule cannot do.
    """
    name = options["schedule"]
    if name not in SCHEDULES:
        raise ValueError(f"optim.schedule must be {KEYS['schedule'].legal}, and is {name!r}.")
    scheduled = SCHEDULES[name].create_from(
        options, peak=peak, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )

    def rate(step: int | Int[Array, ""]) -> Float32[Array, ""]:
        # Optax mixes integers, booleans and floats here, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(scheduled(jnp.asarray(step, jnp.int32)), jnp.float32)

    return rate
