"""A network cut in two behind its last feature map, whatever layers it is made of.

Grad-CAM needs the last feature map that still knows places, and the way from there to the logits. Both are found in
what JAX traces of the network, so that no network has to say anything: the last value of the form [n, height, width,
channels] that is large enough. In a network whose last block ends in ReLU and a pool, that is the ReLU's output.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun
from jaxtyping import Array, Float

# A feature map with fewer pixels on a side says hardly anything about places.
LEAST_SIDE = 3


class Cut(NamedTuple):
    """`below(*inputs)` gives the feature map, then what else the rest needs; `above` makes the logits of these."""

    below: Callable[..., list[Array]]
    above: Callable[..., list[Array]]


def cut(compute_logits: Callable[..., Float[Array, "b k"]], *inputs: Array) -> Cut:
    """Cut a function of some arrays, whose last is images [n, h, w, c], behind its last feature map.

    The two parts take and give flat lists of arrays. Raises ValueError for a function that has no feature map of at
    least LEAST_SIDE pixels on a side.
    """
    closed = jax.make_jaxpr(compute_logits)(*inputs)
    jaxpr = closed.jaxpr
    batch = inputs[-1].shape[0]
    places = [number for number, equation in enumerate(jaxpr.eqns) if _is_feature_map(equation, batch)]
    if not places:
        raise ValueError(
            f"the network has no feature map of {LEAST_SIDE}x{LEAST_SIDE} pixels or more for images of this size"
        )
    first, rest = jaxpr.eqns[: places[-1] + 1], jaxpr.eqns[places[-1] + 1 :]
    feature_map = first[-1].outvars[0]
    needed = {atom for equation in rest for atom in equation.invars if isinstance(atom, Var)}
    needed |= {atom for atom in jaxpr.outvars if isinstance(atom, Var)}
    known = [*jaxpr.constvars, *jaxpr.invars, *(out for equation in first for out in equation.outvars)]
    passed = [feature_map, *(var for var in dict.fromkeys(known) if var in needed and var is not feature_map)]
    below = _close(jaxpr, jaxpr.constvars, jaxpr.invars, first, passed)
    above = _close(jaxpr, (), passed, rest, jaxpr.outvars)
    constants = closed.consts
    return Cut(lambda *values: jaxpr_as_fun(below)(*constants, *values), lambda *values: jaxpr_as_fun(above)(*values))


def _is_feature_map(equation: JaxprEqn, batch: int) -> bool:
    out: Any = equation.outvars[0].aval
    shape, kind = out.shape, out.dtype
    return (
        len(equation.outvars) == 1
        and len(shape) == 4
        and shape[0] == batch
        and min(shape[1:3]) >= LEAST_SIDE
        and bool(jnp.issubdtype(kind, jnp.floating))
    )


def _close(
    jaxpr: Jaxpr,
    constants: Sequence[Var],
    inputs: Sequence[Var],
    equations: Sequence[JaxprEqn],
    outputs: Sequence[Var | Literal],
) -> ClosedJaxpr:
    part = jaxpr.replace(
        constvars=[],
        invars=[*constants, *inputs],
        eqns=list(equations),
        outvars=list(outputs),
        debug_info=jaxpr.debug_info.with_unknown_names(),
    )
    return ClosedJaxpr(part, [])
