"""The end of every network here: global pool, dense layers, one output per class."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ferjax.networks.base import Context
from ferjax.networks.layers.dropout import Dropout
from ferjax.networks.layers.pool import pool_globally
from ferjax.networks.layers.relu import relu


class Head(nn.Module):
    """Pool globally, apply dropout, dense and ReLU for each size in `hidden`, then dropout and the output layer.

    A network names it 'head', which published weights leave to training. The output layer computes in float32,
    whatever `dtype` is, so that small differences between logits survive.
    """

    num_classes: int
    pool: str
    hidden: tuple[int, ...]
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], context: Context) -> Float[Array, "b k"]:
        x = pool_globally(x, self.pool)
        for number, size in enumerate(self.hidden, start=1):
            x = Dropout(self.dropout)(x, context)
            x = relu(nn.Dense(size, dtype=self.dtype, name=f"hidden{number}")(x))
        x = Dropout(self.dropout)(x, context)
        # By default a GPU would round the factors to TF32 and a TPU to bfloat16.
        return nn.Dense(self.num_classes, precision="highest", name="output")(x.astype(jnp.float32))
