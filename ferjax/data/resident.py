"""Splits that live on the device, and the order in which training reads them."""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Key, UInt8


class Resident(flax.struct.PyTreeNode):
    """One split on the devices; `targets` are soft targets, of a data set that has them."""

    images: UInt8[Array, "n side side channels"]
    labels: Int32[Array, " n"]
    targets: Float32[Array, "n c"] | None = None

    def __len__(self) -> int:
        return len(self.labels)


def epoch_order(this_epoch: Key[Array, ""], next_epoch: Key[Array, ""], n: int) -> Int32[Array, " two_n"]:
    """Return the order of one epoch's rows, followed by the next epoch's.

    Training reads one endless stream of permutations, so every batch is full and every row is read once an epoch: the
    batch that crosses an epoch's end takes its last rows from the next permutation.
    """
    orders = [jax.random.permutation(key, n).astype(jnp.int32) for key in (this_epoch, next_epoch)]
    return jnp.concatenate(orders)
