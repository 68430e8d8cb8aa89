"""From stored gray levels to what a model eats: the one place, for training and for serving."""

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8


def preprocess(
    images: UInt8[Array, "*b 48 48 1"] | Float[Array, "*b 48 48 1"],
    *,
    normalize: bool,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*b 48 48 c"]:
    """Scale gray levels 0..255 to 0..1 if `normalize` (min-max), and copy the gray channel to `channels` channels.

    `images` are uint8 as stored, or float gray levels 0..255 as augmentation leaves them. The range is that of the
    format, not of the image, so that an image's result does not depend on its neighbours. The scaling is done in
    float32 and rounded once to `dtype`.
    """
    gray = images.astype(jnp.float32)
    if normalize:
        gray = gray / 255.0
    return jnp.broadcast_to(gray.astype(dtype), (*gray.shape[:-1], channels))
