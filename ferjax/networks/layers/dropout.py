"""Dropout (Srivastava et al. 2014) whose draws are of the whole batch, however many devices share it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.networks.base import Context


class Dropout(nn.Module):
    """Zero each element with chance `rate` in training and scale up the others; on one device flax's numbers.

    Under a mapped axis every device draws for the rows of all devices and takes its own part, so that a batch loses the
    same elements on one device as on many.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "b f"], context: Context) -> Float[Array, "b f"]:
        if not context.train or not self.rate:
            return x
        rows, features = x.shape
        axis_name = context.axis_name
        shards = 1 if axis_name is None else jax.lax.axis_size(axis_name)
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.rate, (shards * rows, features))
        if axis_name is not None:
            keep = jax.lax.dynamic_slice_in_dim(keep, jax.lax.axis_index(axis_name) * rows, rows)
        return jnp.where(keep, x / (1 - self.rate), jnp.zeros((), x.dtype))
