"""An average of the weights over the steps, which often answers better than the last ones."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PyTree

from ferjax.keys import Key, Keys, Range

KEYS: Keys = {
    "average_decay": Key(
        0.0,
        Range(0, 0.99999),
        "share of the old average that a moving average of the weights keeps at each step; the average "
        "is what is validated and kept; 0 is off",
    )
}


@dataclasses.dataclass(frozen=True)
class Averaging:
    """An exponential moving average of variables, as keras.optimizers' `use_ema` and Polyak & Juditsky 1992 have it.

    Batch-norm statistics are averaged like the parameters that they belong to. A `decay` of 0 is off: then the average
    is an empty tree, for which a state and its checkpoint hold nothing.
    """

    decay: float

    def init(self, variables: PyTree) -> PyTree:
        """Make the average before the first step: a copy of the first variables."""
        return jax.tree.map(jnp.copy, variables) if self.decay else {}

    def update(self, average: PyTree, variables: PyTree, step: Int32[Array, ""]) -> PyTree:
        """Move the average towards the variables after `step` earlier steps and this one.

        The decay is min(decay, (1 + step) / (10 + step)), as in TensorFlow's ExponentialMovingAverage, so that the
        first variables are soon forgotten.
        """
        if not self.decay:
            return average
        taken = step.astype(jnp.float32)
        share = 1.0 - jnp.minimum(self.decay, (1.0 + taken) / (10.0 + taken))
        # In this form what does not change, as frozen parameters do not, keeps its bits.
        return jax.tree.map(lambda old, new: old + share * (new - old), average, variables)
