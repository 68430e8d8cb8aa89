"""The totals over examples that every score is made of."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ferjax.scores.confusion import count_all, count_right


class Sums(flax.struct.PyTreeNode):
    """Totals over examples, never means, so that batches, devices and processes merge by addition.

    `loss` is in nats; `confusion` counts examples by true class (row) and answer (column). Both are float32 on the
    device; there may be leading axes, such as one for the seeds.
    """

    loss: Float[Array, "*seeds"] | Float[np.ndarray, "*seeds"]
    confusion: Num[Array, "*seeds k k"] | Num[np.ndarray, "*seeds k k"]

    @classmethod
    def zero(cls, num_classes: int) -> "Sums":
        """Return the sums over no example."""
        return cls(loss=jnp.zeros(()), confusion=jnp.zeros((num_classes, num_classes)))

    def merge(self, other: "Sums") -> "Sums":
        """Return the sums over the examples of both."""
        merged: Sums = jax.tree.map(jnp.add, self, other)
        return merged

    @property
    def count(self) -> Any:
        """The number of examples."""
        return count_all(self.confusion)

    @property
    def correct(self) -> Any:
        """The number of examples that were answered right."""
        return count_right(self.confusion)
