"""Functions that `vmap` calls once for each member, where one call for all of them would be slow."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have `vmap` call a function of arrays once for each member.

    A convolution with a kernel for each seed would be a grouped one, and the gradients of those have no good kernels on
    a GPU: that of the kernel becomes a convolution with windows as large as the image.
    """
    batched = jax.custom_batching.custom_vmap(function)

    @batched.def_vmap
    def call_each(axis_size: int, in_batched: list[bool], *arrays: Any) -> tuple[Any, Any]:
        results = [
            function(*(array[i] if is_batched else array for array, is_batched in zip(arrays, in_batched, strict=True)))
            for i in range(axis_size)
        ]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
        return stacked, jax.tree.map(lambda _: True, stacked)

    wrapped: Callable[..., Any] = batched
    return wrapped
