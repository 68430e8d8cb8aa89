"""Networks by name."""

import jax.numpy as jnp

from ferjax.models.compact import Compact
from ferjax.models.vgg import DEPTHS, VGG

NAMES = (*DEPTHS, *(f"{name}_bn" for name in DEPTHS), "compact")


def create(
    *, name: str, num_classes: int, pool: str, hidden: tuple[int, ...], dropout: float, width: float, dtype: str
) -> VGG | Compact:
    """The network `name` (one of NAMES), with `in_channels` saying what input it takes."""
    if name == "compact":
        return Compact(num_classes, pool, tuple(hidden), dropout, width, jnp.dtype(dtype))
    depths = DEPTHS[name.removesuffix("_bn")]
    return VGG(depths, name.endswith("_bn"), num_classes, pool, tuple(hidden), dropout, width, jnp.dtype(dtype))
