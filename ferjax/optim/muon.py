"""Muon: momentum whose matrices are made orthogonal, and Adam for what is no matrix."""

import math
from typing import Any

import jax
import optax
from jaxtyping import PyTree
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from ferjax.keys import SIZE, Key, Keys, Range
from ferjax.optim import adam
from ferjax.optim.groups import Named

KEYS: Keys = {
    **adam.KEYS,
    "muon_momentum": Key(0.95, Range(0, 0.9999), "muon's decay of its mean of gradients, at each step"),
    "muon_iterations": Key(5, SIZE, "Newton-Schulz iterations that make muon's matrices nearly orthogonal"),
}


def create(
    *, muon_momentum: float, muon_iterations: int, b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """Make Muon without its learning rate (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

    It moves the kernels of convolutions, as matrices [height * width * in, out], and of dense layers but the output
    layer, which like biases and scales is moved by Adam with `b1`, `b2` and `eps`. A direction is scaled by
    0.2 sqrt(max(rows, columns)), so that its numbers are as large as Adam's, and Adam's learning rate and weight decay
    suit both (Liu et al. 2025, Muon is Scalable for LLM Training, arXiv 2502.16982).
    """
    muon = optax.chain(
        scale_by_muon(ns_steps=muon_iterations, beta=muon_momentum, weight_dimension_numbers=_as_matrices),
        optax.stateless(lambda directions, _: jax.tree.map(_scale, directions)),
    )
    return optax.partition({"muon": muon, "adam": adam.create(b1=b1, b2=b2, eps=eps)}, _choose)


def _choose(params: Named) -> dict[str, str]:
    """Say which part of the optimizer moves each parameter."""
    return {name: "muon" if name.endswith("kernel") and name != "head/output/kernel" else "adam" for name in params}


def _as_matrices(directions: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), (leaf.ndim - 1,)), directions)


def _scale(direction: Any) -> Any:
    rows, columns = math.prod(direction.shape[:-1]), direction.shape[-1]
    return direction * (0.2 * math.sqrt(max(rows, columns)))
