"""The cut of the learning rate when a score of validation stops improving."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from ferjax.keys import COUNT, NOT_NEGATIVE, Choice, Key, Keys, Range
from ferjax.scores import SCORES

PlateauState: TypeAlias = optax.contrib.ReduceLROnPlateauState

KEYS: Keys = {
    "plateau_metric": Key(
        "accuracy",
        Choice(tuple(SCORES)),
        "which score of the validation split must improve, or else the learning rate is cut",
        "never",
    ),
    "plateau_patience_epochs": Key(
        7, COUNT, "the learning rate is cut after this many epochs in a row without improvement; 0 is off"
    ),
    "plateau_factor": Key(0.5, Range(0.01, 0.99), "a cut multiplies the learning rate by this"),
    "plateau_min_delta": Key(
        1e-4,
        NOT_NEGATIVE,
        "a score counts as improvement if it is better than the best one by more than this, in its own unit",
    ),
    "plateau_min_learning_rate": Key(1e-7, NOT_NEGATIVE, "cuts do not bring the learning rate below this"),
}


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
        # The least normal float32: adding it to a score changes nothing, so that any improvement counts.
        atol=max(min_delta, float(np.finfo(np.float32).tiny)),
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
