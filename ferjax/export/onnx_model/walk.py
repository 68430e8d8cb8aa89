"""From a function in JAX to an ONNX graph: its jaxpr, one equation after the other.

What depends on no image is computed here and becomes a constant. A call is walked through, and where a layer has a form
of its own for some platform (`jax.lax.platform_dependent`), the form for all others is taken: of ferjax's convolution
that is XLA's, which becomes one Conv.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from ferjax.errors import UserError
from ferjax.export.onnx_model import elementwise, layers, movement
from ferjax.export.onnx_model.graph import BATCH, Atom, Graph, Tensor
from ferjax.export.onnx_model.rule import Rule

# By the name of JAX's primitive, what ONNX has for it.
RULES: Mapping[str, Rule] = MappingProxyType({**elementwise.RULES, **movement.RULES, **layers.RULES})

# Calls, by the name of the parameter that holds what they call.
_CALLS: Mapping[str, str] = MappingProxyType(
    {
        "jit": "jaxpr",
        "pjit": "jaxpr",
        "closed_call": "call_jaxpr",
        "core_call": "call_jaxpr",
        "checkpoint": "jaxpr",
        "remat2": "jaxpr",
        "custom_jvp_call": "call_jaxpr",
        "custom_vjp_call": "call_jaxpr",
        "custom_vmap_call": "call",
    }
)


class _OtherPlatform:
    """Stands for the number of the branch that `platform_dependent` has for no platform in particular."""


_Value = Atom | _OtherPlatform


def walk(graph: Graph, closed: ClosedJaxpr, inputs: Sequence[_Value]) -> list[Any]:
    """Add what a jaxpr computes from `inputs` to the graph; return its outputs.

    Raises UserError for an operation that has no counterpart in ONNX here.
    """
    return _walk(graph, closed.jaxpr, [np.asarray(value) for value in closed.consts], inputs)


def _walk(graph: Graph, jaxpr: Jaxpr, constants: Sequence[np.ndarray], inputs: Sequence[_Value]) -> list[_Value]:
    values: dict[Var, _Value] = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Var | Literal) -> _Value:
        return np.asarray(atom.val) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        found = _compute(graph, equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _compute(graph: Graph, equation: JaxprEqn, operands: list[Any]) -> Sequence[_Value]:
    name = equation.primitive.name
    if name == "platform_index":
        return [_OtherPlatform()]
    if name == "cond" and isinstance(operands[0], _OtherPlatform):
        return walk(graph, equation.params["branches"][-1], operands[1:])
    if name in _CALLS:
        called = equation.params[_CALLS[name]]
        return walk(graph, called, operands) if isinstance(called, ClosedJaxpr) else _walk(graph, called, (), operands)
    if _is_constant(equation, operands):
        found = equation.primitive.bind(*map(jax.numpy.asarray, operands), **equation.params)
        return [np.asarray(value) for value in (found if equation.primitive.multiple_results else [found])]
    if name not in RULES:
        raise UserError(
            f"The network computes {name!r}, for which ferjax has no operation of ONNX: export it with "
            "--formats stablehlo,safetensors, or add the operation to ferjax/export/onnx_model/."
        )
    try:
        found = RULES[name](graph, equation, operands)
    except (ValueError, NotImplementedError) as error:
        raise UserError(
            f"The network computes {name!r} in a way that ferjax cannot write as ONNX ({error}): export it with "
            "--formats stablehlo,safetensors."
        ) from error
    return found if isinstance(found, list) else [found]


def _is_constant(equation: JaxprEqn, operands: Sequence[Any]) -> bool:
    """Return whether an equation can be computed here: it depends on no image and not on how many there are."""
    outs: list[Any] = [out.aval for out in equation.outvars]
    sizes = [size for out in outs for size in out.shape]
    return not any(isinstance(value, Tensor) for value in operands) and not any(s and s % BATCH == 0 for s in sizes)
