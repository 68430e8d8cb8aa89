"""The focal loss, which gives less weight to examples that the network already answers well."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from ferjax.keys import FRACTION, Key, Keys, Range

KEYS: Keys = {
    "gamma": Key(
        2.0,
        Range(0, 20),
        "focal's exponent: the larger it is, the less those images count that are already answered well",
    ),
    "alpha": Key(0.0, FRACTION, "focal's factor on the loss, the same for every class; 0 is off"),
}


def create(
    *, gamma: float, alpha: float
) -> Callable[[Float32[Array, "b k"], Float32[Array, "b k"]], Float32[Array, " b"]]:
    """Make `loss(logits, targets)`: -alpha sum_k y_k (1 - p_k)^gamma log p_k of each example.

    Lin et al. 2017, arXiv 1708.02002, summed over the smoothed target as Keras's `CategoricalFocalCrossentropy` does.
    An `alpha` of 0 means no alpha, and with a `gamma` of 0 this is cross entropy to the bit. Value and gradient are
    finite for logits of any size whose differences float32 can hold.
    """

    def loss(logits: Float32[Array, "b k"], targets: Float32[Array, "b k"]) -> Float32[Array, " b"]:
        terms = -targets * jax.nn.log_softmax(logits)
        if gamma:
            # A power taken as exp(gamma log(1 - p)) keeps its gradient finite at p = 1 for every gamma.
            terms = terms * jnp.exp(gamma * _log_complement(logits))
        if alpha:
            terms = terms * alpha
        return terms.sum(axis=-1)

    return loss


def _log_complement(logits: Float32[Array, "b k"]) -> Float32[Array, "b k"]:
    """Return log(1 - p_k) of every class: the log-sum-exp of the other classes less that of all.

    Taken from 1 - p it would be log(0) as soon as p rounds to 1.
    """
    others = ~np.eye(logits.shape[-1], dtype=bool)
    rest = jax.nn.logsumexp(
        jnp.broadcast_to(logits[:, None, :], (*logits.shape, logits.shape[-1])), axis=-1, where=others
    )
    return rest - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
