"""Networks by name."""

import jax.numpy as jnp

from ferjax.models.compact import Compact
from ferjax.models.vgg import DEPTHS, VGG

NAMES = (*DEPTHS, *(f"{name}_bn" for name in DEPTHS), "compact")


def create(
    *, name: str, num_classes: int, pool: str, hidden: tuple[int, ...], dropout: float, width: float, dtype: str
) -> VGG | Compact:
    """The network `name` (one of NAMES), with `in_channels` saying what input it takes."""
    head = {"num_classes": num_classes, "pool": pool, "hidden": tuple(hidden), "dropout": dropout, "width": width}
    if name == "compact":
        return Compact(**head, dtype=jnp.dtype(dtype))
    return VGG(DEPTHS[name.removesuffix("_bn")], name.endswith("_bn"), **head, dtype=jnp.dtype(dtype))
