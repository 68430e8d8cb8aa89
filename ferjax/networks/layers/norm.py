"""Batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167) as one multiplication and addition per element."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from ferjax.networks.base import Context

MOMENTUM = 0.9
EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Normalise each channel over batch and pixels, and over all devices of the context's mapped axis.

    It computes the same numbers and has the same parameters and statistics as flax's BatchNorm. It first folds mean,
    variance, scale and bias into one factor and one shift per channel, which makes its gradient on CPU faster
    (scripts/time_layers.sh). Statistics are float32 whatever `dtype` is, and leave out the rows where the context's
    mask is False.

    Where the context freezes this layer, known by its path in the network, it normalises by its running statistics in
    training too, and leaves them as they are.

    `zero_scale` lets the scale begin at 0 instead of 1.
    """

    dtype: DTypeLike = jnp.float32
    zero_scale: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], context: Context) -> Float[Array, "b h w c"]:
        channels = x.shape[-1]
        start = nn.initializers.zeros_init() if self.zero_scale else nn.initializers.ones_init()
        scale = self.param("scale", start, (channels,))
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if context.trains(self.path):
            mean, square = _measure(x.astype(jnp.float32), context.mask, context.axis_name)
            var = jnp.maximum(square - mean * mean, 0.0)
            if not self.is_initializing():
                running_mean.value = MOMENTUM * running_mean.value + (1 - MOMENTUM) * mean
                running_var.value = MOMENTUM * running_var.value + (1 - MOMENTUM) * var
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * jax.lax.rsqrt(var + EPSILON)
        shift = bias - mean * factor
        # Rounded once, at the end: factor and shift in bfloat16 would be off by up to 0.03 where the mean is large.
        return (x.astype(jnp.float32) * factor + shift).astype(self.dtype)


def _measure(
    x: Float[Array, "b h w c"], mask: Bool[Array, " b"] | None, axis_name: str | None
) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Return mean and mean square of each channel over the rows that count, of every device."""
    pixels = x.reshape(-1, x.shape[-1])
    if mask is None:
        moments = pixels.mean(0), (pixels * pixels).mean(0)
        return moments if axis_name is None else jax.lax.pmean(moments, axis_name)
    pixels = jnp.where(mask[:, None, None, None], x, 0.0).reshape(pixels.shape)
    sums = pixels.sum(0), (pixels * pixels).sum(0), mask.astype(jnp.float32).sum() * (x.shape[1] * x.shape[2])
    if axis_name is not None:
        sums = jax.lax.psum(sums, axis_name)
    return sums[0] / sums[2], sums[1] / sums[2]
