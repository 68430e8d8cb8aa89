"""Optimizers, learning-rate schedules, which parameters train, and the average of the weights.

To add an optimizer: a file like sgd.py, and a line in OPTIMIZERS; a schedule: see schedules.py.
"""

import math
import types
from collections.abc import Mapping
from typing import Any

import optax

from ferjax.ingredients import Ingredient, complete, join_keys
from ferjax.keys import NOT_NEGATIVE, POSITIVE, Choice, Key, Keys
from ferjax.optim import adam, averaging, groups, muon, plateau, schedules, sgd
from ferjax.optim.averaging import Averaging
from ferjax.optim.optimizer import Optimizer, kernel_mask, make_grouped
from ferjax.optim.plateau import make_plateau
from ferjax.optim.schedules import SCHEDULES, make_schedule
from ferjax.scores import SCORES

__all__ = ["KEYS", "OPTIMIZERS", "SCHEDULES", "Optimizer", "create"]

OPTIMIZERS: Mapping[str, Ingredient[optax.GradientTransformation]] = types.MappingProxyType(
    {
        "adam": Ingredient(adam.create, adam.KEYS),
        "muon": Ingredient(muon.create, muon.KEYS),
        "sgd": Ingredient(sgd.create, sgd.KEYS),
    }
)
_KEYS: Keys = {
    "name": Key(
        "adam",
        Choice(tuple(OPTIMIZERS)),
        "which optimizer; 'sgd' is stochastic gradient descent with momentum, and 'muon' makes the directions of "
        "kernels orthogonal, and is adam for all else",
    ),
    "learning_rate": Key(1e-4, POSITIVE, "the learning rate; where a schedule changes it, its highest value"),
}
_MORE_KEYS: Keys = {
    "weight_decay": Key(
        0.0,
        NOT_NEGATIVE,
        "decoupled weight decay: each step shrinks kernels by the share learning rate * this; 0 is off",
    ),
    "clip_norm": Key(
        0.0, NOT_NEGATIVE, "a gradient whose norm over all parameters is larger is scaled down to this norm; 0 is off"
    ),
}
KEYS: Keys = join_keys(
    _KEYS,
    *(optimizer.keys for optimizer in OPTIMIZERS.values()),
    _MORE_KEYS,
    groups.KEYS,
    schedules.KEYS,
    plateau.KEYS,
    averaging.KEYS,
)


def create(*, epochs: int, steps_per_epoch: float, **options: Any) -> Optimizer:
    """Make the optimizer of the config's group "optim" for a run of `epochs` times `steps_per_epoch` steps.

    Weight decay is decoupled (Loshchilov & Hutter 2019, arXiv 1711.05101), multiplied by the learning rate, and reaches
    only parameters called 'kernel'. The gradient is clipped by its global norm, over the parameters that train, before
    the optimizer sees it. Options that are left out have the default that KEYS declares.

    Raises ValueError for an unknown optimizer, schedule or score, for a warm-up that leaves a cosine no step, and for
    groups that cannot be read.
    """
    values = complete(KEYS, options)
    for name, table in (("name", OPTIMIZERS), ("plateau_metric", SCORES)):
        if values[name] not in table:
            raise ValueError(f"optim.{name} must be {KEYS[name].legal}, and is {values[name]!r}.")
    peak: float = values["learning_rate"]
    parts = [OPTIMIZERS[values["name"]].create_from(values)]
    if values["weight_decay"]:
        parts.append(optax.add_decayed_weights(values["weight_decay"], mask=kernel_mask))
    parsed = groups.parse(values["groups"])
    init, find_updates = make_grouped(parsed, optax.with_extra_args_support(optax.chain(*parts)), values["clip_norm"])
    score = SCORES[values["plateau_metric"]]
    init_plateau, update_plateau = make_plateau(
        higher_is_better=score.higher_is_better,
        patience_epochs=values["plateau_patience_epochs"],
        factor=values["plateau_factor"],
        min_delta=values["plateau_min_delta"],
        min_scale=values["plateau_min_learning_rate"] / peak,
    )
    return Optimizer(
        groups=parsed,
        init=init,
        find_updates=find_updates,
        learning_rate=make_schedule(
            peak=peak,
            total_steps=schedules.count_steps(math.ceil(epochs * steps_per_epoch)),
            steps_per_epoch=steps_per_epoch,
            options=values,
        ),
        init_plateau=init_plateau,
        update_plateau=lambda state, sums: update_plateau(state, score.of(sums)),
        averaging=Averaging(values["average_decay"]),
    )
