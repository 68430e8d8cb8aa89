"""Pooling: 2x2 within the network, global at its end."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8


@jax.custom_vjp
def max_pool2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h//2 w//2 c"]:
    """Take the largest of each 2x2 block; leave out an odd last row or column, as in Keras and torch.

    The gradient goes to the first of equal pixels, row by row, as in torch and TensorFlow. The forward pass keeps which
    pixel that is: a gradient that compares with a maximum computed again is lost where a compiler rounds the two
    differently.
    """
    a, b, c, d = take_corners(x)
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


def take_corners(x: Float[Array, "b h w c"]) -> list[Float[Array, "b h//2 w//2 c"]]:
    """Return the four pixels of each 2x2 block, row by row; an odd last row or column is left out."""
    batch, height, width, channels = x.shape
    # Indexing would become a gather where the batch's size is open, as in an export.
    high, wide = height // 2 * 2, width // 2 * 2
    ends, steps = (batch, high, wide, channels), (1, 2, 2, 1)
    return [jax.lax.slice(x, (0, min(i, high), min(j, wide), 0), ends, steps) for i in (0, 1) for j in (0, 1)]


def _pool(x: Float[Array, "b h w c"]) -> tuple[Array, tuple[Int8[Array, "b h//2 w//2 c"], Float[Array, "0 h w"]]]:
    a, b, c, d = take_corners(x)
    top, bottom = jnp.maximum(a, b), jnp.maximum(c, d)
    chosen = jnp.where(bottom > top, 2 + (d > c).astype(jnp.int8), (b > a).astype(jnp.int8))
    # The empty array only carries the shape.
    return jnp.maximum(top, bottom), (chosen, jnp.zeros((0, *x.shape[1:3]), x.dtype))


def _unpool(
    residuals: tuple[Int8[Array, "b p q c"], Float[Array, "0 h w"]], g: Float[Array, "b p q c"]
) -> tuple[Array]:
    chosen, like = residuals
    batch, high, wide, channels = g.shape
    corner = jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    spread = jnp.where(chosen[:, :, None, :, None] == corner, g[:, :, None, :, None], jnp.zeros((), g.dtype))
    left_out = [(0, side - 2 * pooled) for side, pooled in zip(like.shape[1:], (high, wide), strict=True)]
    return (jnp.pad(spread.reshape(batch, 2 * high, 2 * wide, channels), ((0, 0), *left_out, (0, 0))),)


max_pool2x2.defvjp(_pool, _unpool)


def pool_globally(x: Float[Array, "b h w c"], kind: str) -> Float[Array, "b f"]:
    """Pool over all pixels; `kind` is 'max', 'mean' or 'both' (the mean's channels, then the maximum's)."""
    if kind == "max":
        return _max_globally(x)
    if kind == "mean":
        return x.mean((1, 2))
    return jnp.concatenate([x.mean((1, 2)), _max_globally(x)], axis=-1)


def _max_globally(x: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    """Take the largest pixel of each channel; the gradient goes to the first of equal ones.

    The gradient of `x.max` compares x with its maximum and divides by how many are equal. Where a compiler computes x
    twice and rounds the two differently, none is equal, and 0 / 0 reaches every parameter (seen at XLA's lowest
    optimisation level).
    """
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    chosen = jnp.arange(pixels.shape[1])[:, None] == pixels.argmax(1)[:, None, :]
    return jnp.where(chosen, pixels, jnp.zeros((), x.dtype)).sum(1)
