"""ReLU with a gradient that asks its output, so that nobody needs to keep what went in."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the larger of x and 0; the gradient at 0 is 0, as in flax's.

    flax's gradient compares the input with 0. The output says the same, and the next layer keeps it anyway: on a GPU
    the bias and the ReLU can then be part of the convolution's own kernel (scripts/count_kernels.sh counts them).
    """
    return jnp.maximum(x, 0)


def _forward(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    y = jnp.maximum(x, 0)
    return y, y


def _backward(y: Float[Array, "..."], g: Float[Array, "..."]) -> tuple[Float[Array, "..."]]:
    return (jnp.where(y != 0, g, jnp.zeros((), g.dtype)),)


relu.defvjp(_forward, _backward)
