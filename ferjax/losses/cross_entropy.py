"""Cross entropy."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float32


def create() -> Callable[[Float32[Array, "b k"], Float32[Array, "b k"]], Float32[Array, " b"]]:
    """Make `loss(logits, targets)`: -sum_k y_k log p_k of each example."""
    return find_cross_entropy


def find_cross_entropy(logits: Float32[Array, "b k"], targets: Float32[Array, "b k"]) -> Float32[Array, " b"]:
    """Return -sum_k y_k log p_k of each example, finite for logits whose differences float32 can hold."""
    terms = -targets * jax.nn.log_softmax(logits)
    return terms.sum(axis=-1)
