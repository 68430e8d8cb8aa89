"""Operations on single numbers: their operands keep whatever order of axes they have."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from jax.extend.core import JaxprEqn

from ferjax.export.onnx_model.graph import Atom, Graph, Tensor, broadcast_held
from ferjax.export.onnx_model.rule import Rule, dtype_of, shape_of


def _apply(graph: Graph, op: str, operands: Sequence[Atom], equation: JaxprEqn, **attributes: Any) -> Tensor:
    """Add one node on operands that are brought to the order of the first that is not in JAX's own."""
    shape = shape_of(equation)
    plain = tuple(range(len(shape)))
    orders = [atom.order for atom in operands if isinstance(atom, Tensor) and len(atom.order) == len(shape)]
    order = next((order for order in orders if order != plain), plain)
    names = [graph.arrange(atom, order) for atom in operands]
    held = broadcast_held(operands, len(shape))
    return graph.tensor(op, names, shape, dtype_of(equation), order=order, held=held, **attributes)


def _simple(op: str) -> Rule:
    """Make the rule of a primitive that is one operation of ONNX."""
    return lambda graph, equation, operands: _apply(graph, op, operands, equation)


def _chain(*ops: str) -> Rule:
    """Make the rule of a primitive that is several operations, one after the other."""

    def rule(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
        found = _apply(graph, ops[0], operands, equation)
        for op in ops[1:]:
            found = _apply(graph, op, [found], equation)
        return found

    return rule


def _keep(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    return operands[0]


def _convert(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype_of(equation)))
    return _apply(graph, "Cast", operands, equation, to=kind)


def _power(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    exponent = equation.params.get("y", 2)
    if exponent == 2:
        return _apply(graph, "Mul", [operands[0], operands[0]], equation)
    return _apply(graph, "Pow", [operands[0], np.asarray(exponent, dtype_of(equation))], equation)


def _select(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    if len(operands) != 3 or operands[0].dtype != np.bool_:
        raise ValueError("a choice among other than two arrays")
    which, if_false, if_true = operands
    return _apply(graph, "Where", [which, if_true, if_false], equation)


def _clamp(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    low, values, high = operands
    return _apply(graph, "Min", [_apply(graph, "Max", [values, low], equation), high], equation)


def _plus_one(op: str) -> Rule:
    """Make the rule of log1p: the sum is rounded, which is far below what an export is allowed to differ."""

    def rule(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
        one = np.ones((), dtype_of(equation))
        return _apply(graph, op, [_apply(graph, "Add", [operands[0], one], equation)], equation)

    return rule


def _minus_one(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    return _apply(graph, "Sub", [_apply(graph, "Exp", operands, equation), np.ones((), dtype_of(equation))], equation)


def _rest_of_erf(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    return _apply(graph, "Sub", [np.ones((), dtype_of(equation)), _apply(graph, "Erf", operands, equation)], equation)


def _is_finite(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    # inf - inf and nan - nan are not equal to 0, and of finite numbers the difference is.
    zero = _apply(graph, "Sub", [operands[0], operands[0]], equation)
    return _apply(graph, "Equal", [zero, np.zeros((), operands[0].dtype)], equation)


def _not_equal(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    return _apply(graph, "Not", [_apply(graph, "Equal", operands, equation)], equation)


_SIMPLE: Mapping[str, str] = MappingProxyType(
    {
        "add": "Add",
        "add_any": "Add",
        "sub": "Sub",
        "mul": "Mul",
        "div": "Div",
        "max": "Max",
        "min": "Min",
        "pow": "Pow",
        "neg": "Neg",
        "abs": "Abs",
        "sign": "Sign",
        "exp": "Exp",
        "log": "Log",
        "sqrt": "Sqrt",
        "tanh": "Tanh",
        "sin": "Sin",
        "cos": "Cos",
        "logistic": "Sigmoid",
        "erf": "Erf",
        "floor": "Floor",
        "ceil": "Ceil",
        "and": "And",
        "or": "Or",
        "xor": "Xor",
        "not": "Not",
        "eq": "Equal",
        "lt": "Less",
        "le": "LessOrEqual",
        "gt": "Greater",
        "ge": "GreaterOrEqual",
    }
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **{name: _simple(op) for name, op in _SIMPLE.items()},
        "rsqrt": _chain("Sqrt", "Reciprocal"),
        "square": _power,
        "integer_pow": _power,
        "log1p": _plus_one("Log"),
        "expm1": _minus_one,
        "erfc": _rest_of_erf,
        "ne": _not_equal,
        "is_finite": _is_finite,
        "select_n": _select,
        "clamp": _clamp,
        "convert_element_type": _convert,
        "stop_gradient": _keep,
        "copy": _keep,
        "copy_p": _keep,
        "reduce_precision": _keep,
    }
)
