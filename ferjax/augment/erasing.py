"""Random erasing: a square of each image is filled with noise."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, PRNGKeyArray, UInt8

from ferjax.augment.shards import Shards, Transform
from ferjax.batch import Batch
from ferjax.keys import FRACTION, SIZE, Key, Keys

KEYS: Keys = {
    "erase_prob": Key(0.0, FRACTION, "chance that a square of an image is filled with noise"),
    "erase_px": Key(12, SIZE, "side of that square, in pixels"),
}


class Squares(NamedTuple):
    """What was drawn for each image of a batch.

    `corner_px` is the (row, column) of the square's first pixel and may lie outside the image.
    """

    erase: Bool[Array, " b"]
    corner_px: Int32[Array, "b 2"]
    noise: UInt8[Array, "b px px c"]


def create(*, erase_prob: float, erase_px: int) -> Transform | None:
    """Make the transform that erases a square of each image with the chance `erase_prob`; None where that is 0."""
    if not erase_prob:
        return None

    def erase(key: PRNGKeyArray, batch: Batch, shards: Shards) -> Batch:
        side_px, channels = batch.images.shape[-2:]
        px = min(erase_px, 2 * side_px)  # such a square covers its image wherever its centre is

        def draw(rows: int) -> Squares:
            return draw_squares(key, rows, side_px=side_px, channels=channels, erase_prob=erase_prob, erase_px=px)

        return batch.replace(images=apply_erasing(batch.images, shards.draw(draw)))

    return erase


def draw_squares(
    key: PRNGKeyArray, rows: int, *, side_px: int, channels: int, erase_prob: float, erase_px: int
) -> Squares:
    """Draw the squares of `rows` images, each centred on a uniformly drawn pixel, so that it may overlap the border.

    A longer batch leaves the draws of its first images as they were.
    """
    uniform_key, noise_key = jax.random.split(key)
    u = jax.random.uniform(uniform_key, (rows, 3)).T
    centre = jnp.minimum((u[1:].T * side_px).astype(jnp.int32), side_px - 1)  # u * side may round up to side
    return Squares(u[0] < erase_prob, centre - erase_px // 2, _draw_noise(noise_key, rows, erase_px, channels))


def apply_erasing(images: Float32[Array, "b side side c"], squares: Squares) -> Float32[Array, "b side side c"]:
    """Fill each image's drawn square with uniform noise of levels 0..255 (Zhong et al. 2017, arXiv 1708.04896).

    As in the paper's RE-R every erased pixel gets its own random value; unlike the paper the square has one size and
    may overlap the border, where it is cut off.
    """
    side, px = images.shape[1], squares.noise.shape[1]
    distance = jnp.arange(side, dtype=jnp.int32) - squares.corner_px[:, :, None]
    inside = (distance >= 0) & (distance < px)
    erased = squares.erase[:, None, None] & inside[:, 0, :, None] & inside[:, 1, None, :]
    # Tiled over the image, a px-square of noise shows each of its values exactly once in any px-square window.
    repeats = math.ceil(side / px)
    noise = jnp.tile(squares.noise, (1, repeats, repeats, 1))[:, :side, :side]
    return jnp.where(erased[..., None], noise.astype(jnp.float32), images)


def _draw_noise(key: PRNGKeyArray, rows: int, px: int, channels: int) -> UInt8[Array, "b px px c"]:
    """Draw uniform levels, four to a random word: a draw of bytes would compute a word for each of them."""
    wanted = px * channels
    words = jax.random.bits(key, (rows, px, math.ceil(wanted / 4)), jnp.uint32)
    levels = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(rows, px, -1)[:, :, :wanted]
    return levels.reshape(rows, px, px, channels)
