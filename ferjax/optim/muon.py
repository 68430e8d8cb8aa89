"""Muon: momentum whose matrices are made orthogonal, and Adam for what is no matrix."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ferjax.keys import Key, Keys, Range
from ferjax.optim import adam
from ferjax.optim.groups import Named
from ferjax.optim.shares import Shares

KEYS: Keys = {
    **adam.KEYS,
    "muon_momentum": Key(0.95, Range(0, 0.9999), "muon's decay of its mean of gradients, at each step"),
    "muon_iterations": Key(
        5, Range(1, 100, whole=True), "Newton-Schulz iterations that make muon's matrices nearly orthogonal"
    ),
}

# Of the quintic iteration: chosen for speed, so that singular values end between about 0.7 and 1.2.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_EPSILON = 1e-8


def create(
    *, muon_momentum: float, muon_iterations: int, b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """Make Muon without its learning rate (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

    It moves the kernels of convolutions, as matrices [height * width * in, out], and of dense layers but the output
    layer, which like biases and scales is moved by Adam with `b1`, `b2` and `eps`. A direction is scaled by
    0.2 sqrt(max(rows, columns)), so that its numbers are as large as Adam's, and Adam's learning rate and weight decay
    suit both (Liu et al. 2025, Muon is Scalable for LLM Training, arXiv 2502.16982).
    """
    muon = _scale_by_muon(muon_momentum, muon_iterations)
    return optax.partition({"muon": muon, "adam": adam.create(b1=b1, b2=b2, eps=eps)}, _choose)


def orthogonalize(matrix: Float[Array, "r c"], iterations: int, shares: Shares | None = None) -> Float[Array, "r c"]:
    """Bring the singular values of a matrix near 1 by Newton-Schulz iterations, X <- (a + b X X^T + c (X X^T)^2) X.

    All of them are computed on the smaller of X X^T and X^T X, on which their product is a polynomial: X itself is
    multiplied twice and not twice in each iteration, which takes a third of the time for a kernel of nine times as many
    rows as columns. In float32 the two differ by 1e-4 of the largest number. With `shares`, on each of the devices,
    every product is divided by its rows; the numbers differ by rounding only.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (jnp.linalg.norm(wide) + _EPSILON)
    cut, join = (shares.cut, shares.join) if shares and shares.divide(len(wide)) else (_keep, _keep)
    # What ends in _rows is this device's part. All these matrices are polynomials of one, so that their order in a
    # product may be chosen: the part always comes first, and only the second factor has to be whole.
    gram_rows = cut(wide) @ wide.T
    one_rows = cut(jnp.eye(len(wide), dtype=wide.dtype))
    total_rows = one_rows
    for iteration in range(iterations):
        gram = join(gram_rows)
        factor_rows = _A * one_rows + _B * gram_rows + _C * (gram_rows @ gram)
        factor = join(factor_rows)
        total_rows = total_rows @ factor if iteration else factor_rows
        if iteration < iterations - 1:
            gram_rows = factor_rows @ gram @ factor
    result: Float[Array, "r c"] = join(total_rows @ wide)
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


def _keep(matrix: Array) -> Array:
    return matrix


class _State(NamedTuple):
    """The mean of the gradients."""

    mean: PyTree


def _scale_by_muon(momentum: float, iterations: int) -> optax.GradientTransformationExtraArgs:
    """Make the part for matrices, with Nesterov's momentum.

    optax.contrib's `scale_by_muon` computes the same but for the correction of the mean, which Jordan's has not, and
    takes 2.8 times as long, since it iterates on the whole matrix.
    """

    def init(params: PyTree) -> _State:
        return _State(jax.tree.map(jnp.zeros_like, params))

    def update(
        gradients: PyTree, state: _State, _: PyTree = None, *, shares: Shares | None = None, **__: Any
    ) -> tuple[PyTree, _State]:
        mean = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, state.mean, gradients)
        ahead = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, mean, gradients)

        def direct(leaves: PyTree) -> PyTree:
            return jax.tree.map(lambda leaf: _direct(leaf, iterations, shares), leaves)

        return (shares.on_each(direct) if shares else direct)(ahead), _State(mean)

    return optax.GradientTransformationExtraArgs(init, update)


def _direct(gradient: Float[Array, "..."], iterations: int, shares: Shares | None) -> Float[Array, "..."]:
    matrix = gradient.reshape(-1, gradient.shape[-1])
    scale = 0.2 * math.sqrt(max(matrix.shape))
    return (scale * orthogonalize(matrix, iterations, shares)).reshape(gradient.shape)


def _choose(params: Named) -> dict[str, str]:
    """Say which part of the optimizer moves each parameter."""
    return {name: "muon" if name.endswith("kernel") and name != "head/output/kernel" else "adam" for name in params}
