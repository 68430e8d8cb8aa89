"""Networks by name."""

import jax.numpy as jnp

from ferjax.networks.compact import Compact
from ferjax.networks.vgg import DEPTHS, VGG

NAMES = (*DEPTHS, *(f"{name}_bn" for name in DEPTHS), "compact")


def create(
    *,
    name: str,
    num_classes: int,
    pool: str,
    hidden: tuple[int, ...],
    dropout: float,
    width: float,
    dtype: str,
    exact_convolution: bool = False,
) -> VGG | Compact:
    """The network `name` (one of NAMES), with `in_channels` saying what input it takes."""
    settings = num_classes, pool, tuple(hidden), dropout, width, jnp.dtype(dtype)
    if name == "compact":
        return Compact(*settings, exact_convolution=exact_convolution)
    return VGG(DEPTHS[name.removesuffix("_bn")], name.endswith("_bn"), *settings, exact_convolution=exact_convolution)
