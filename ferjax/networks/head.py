"""The end of every network here: global pool, dense layers, one output a class."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ferjax.networks.layers.dropout import Dropout
from ferjax.networks.layers.pool import pool_globally


class Head(nn.Module):
    """Global pool, then for each size in `hidden` dropout, dense and ReLU, then dropout and the output layer.

    The output layer computes in float32, whatever `dtype` is, so that small differences of logits survive.
    """

    num_classes: int
    pool: str
    hidden: tuple[int, ...]
    dropout: float
    dtype: DTypeLike
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b k"]:
        x = pool_globally(x, self.pool)
        for number, size in enumerate(self.hidden, start=1):
            x = Dropout(self.dropout, self.axis_name)(x, train=train)
            x = nn.relu(nn.Dense(size, dtype=self.dtype, name=f"hidden{number}")(x))
        x = Dropout(self.dropout, self.axis_name)(x, train=train)
        return nn.Dense(self.num_classes, name="output")(x.astype(jnp.float32))
