"""Dropout (Srivastava et al. 2014) whose draws are of the whole batch, however many devices share it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dropout(nn.Module):
    """Zero each element with chance `rate` in training and scale up the others; flax's numbers on one device.

    Under a mapped `axis_name` every shard draws for all rows of all shards and takes its own, so that a batch loses the
    same elements on one device as on many.
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b f"], *, train: bool) -> Float[Array, "b f"]:
        if not train or not self.rate:
            return x
        rows, features = x.shape
        shards = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.rate, (shards * rows, features))
        if self.axis_name is not None:
            keep = jax.lax.dynamic_slice_in_dim(keep, jax.lax.axis_index(self.axis_name) * rows, rows)
        return jnp.where(keep, x / (1 - self.rate), jnp.zeros((), x.dtype))
