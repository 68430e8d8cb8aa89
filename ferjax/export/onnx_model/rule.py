"""What the rules of all kinds of operations share: how one is called."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jax.extend.core import JaxprEqn

from ferjax.export.onnx_model.graph import Atom, Graph

# rule(graph, equation, operands): add the nodes of an equation to the graph and return its outputs, a list of them
# where the primitive has several. It raises ValueError for a form of the primitive that it cannot write.
Rule: TypeAlias = Callable[[Graph, JaxprEqn, list[Atom]], Atom | list[Atom]]


def shape_of(equation: JaxprEqn) -> tuple[int, ...]:
    """Return the shape of an equation's first output."""
    out: Any = equation.outvars[0].aval
    return tuple(out.shape)


def dtype_of(equation: JaxprEqn) -> Any:
    """Return the type of an equation's first output."""
    out: Any = equation.outvars[0].aval
    return out.dtype
