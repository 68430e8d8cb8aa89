"""Operations that move numbers and change none: shapes, slices, padding."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from ferjax.export.onnx_model.graph import BATCH, Atom, Graph, Tensor
from ferjax.export.onnx_model.rule import Rule, dtype_of, shape_of

# ONNX's word for "to the end" (and, stepping backwards, "to the beginning").
_END = np.iinfo(np.int64).max


def _reshape(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    shape = shape_of(equation)
    return graph.tensor("Reshape", [graph.plain(operands[0]), graph.sizes(shape)], shape, dtype_of(equation))


def _squeeze(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    """Drop axes of length 1, which need not be brought into JAX's order for it."""
    (x,) = operands
    dropped = set(equation.params["dimensions"])
    if not isinstance(x, Tensor):
        x = graph.hold(x, x.shape)
    kept = [axis for axis in range(len(x.shape)) if axis not in dropped]
    places = [place for place, axis in enumerate(x.order) if axis in dropped]
    order = [kept.index(axis) for axis in x.order if axis not in dropped]
    name = graph.node("Squeeze", [x.name, graph.whole_numbers(places)])
    return Tensor(name, shape_of(equation), tuple(x.held[axis] for axis in kept), x.dtype, tuple(order))


def _broadcast(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    """Give the operand its new axes with length 1; an operation that needs more of them repeats the numbers."""
    (x,) = operands
    shape, places = shape_of(equation), equation.params["broadcast_dimensions"]
    held = [1] * len(shape)
    lengths = x.held if isinstance(x, Tensor) else x.shape
    for axis, place in enumerate(places):
        held[place] = lengths[axis]
    if not isinstance(x, Tensor):
        return graph.hold(x.reshape(held), shape)
    name = graph.arrange(x, range(len(x.shape)))
    return graph.tensor("Reshape", [name, graph.sizes(held)], shape, x.dtype, held=held)


def _transpose(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    """Call the axes otherwise; the numbers stay where they are until an operation needs them elsewhere."""
    (x,) = operands
    permutation = equation.params["permutation"]
    if not isinstance(x, Tensor):
        x = graph.hold(x, x.shape)
    order = tuple(permutation.index(axis) for axis in x.order)
    return Tensor(x.name, shape_of(equation), tuple(x.held[axis] for axis in permutation), x.dtype, order)


def _take(
    graph: Graph, x: Atom, shape: Sequence[int], cuts: Mapping[int, tuple[int, int, int]]
) -> Atom:  # cuts by axis: start, end, step
    if not isinstance(x, Tensor):
        x = graph.hold(x, x.shape)
    # An axis along which the numbers are equal stays as it is.
    cuts = {axis: cut for axis, cut in cuts.items() if x.held[axis] == x.shape[axis]}
    held = [size if axis in cuts else min(size, x.held[axis]) for axis, size in enumerate(shape)]
    axes = [x.order.index(axis) for axis in cuts]
    lists = [graph.whole_numbers(values) for values in (*list(zip(*cuts.values(), strict=True))[:2], axes)]
    steps = graph.whole_numbers([step for _, _, step in cuts.values()])
    if not cuts:
        return Tensor(x.name, tuple(shape), tuple(held), x.dtype, x.order)
    return graph.tensor("Slice", [x.name, *lists, steps], shape, x.dtype, order=x.order, held=held)


def _slice(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    starts, ends = equation.params["start_indices"], equation.params["limit_indices"]
    steps = equation.params["strides"] or (1,) * len(starts)
    cuts = {
        axis: (start, end, step)
        for axis, (start, end, step, size) in enumerate(zip(starts, ends, steps, operands[0].shape, strict=True))
        if (start, end, step) != (0, size, 1)
    }
    if any(operands[0].shape[axis] % BATCH == 0 for axis in cuts):
        raise ValueError("a part of a batch")
    return _take(graph, operands[0], shape_of(equation), cuts)


def _reverse(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    cuts = dict.fromkeys(equation.params["dimensions"], (-1, -_END, -1))
    return _take(graph, operands[0], shape_of(equation), cuts)


def _split(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> list[Atom]:
    axis, first, parts = equation.params["axis"], 0, []
    for size, out in zip(map(int, equation.params["sizes"]), equation.outvars, strict=True):
        part: Any = out.aval
        parts.append(_take(graph, operands[0], part.shape, {axis: (first, first + size, 1)}))
        first += size
    return parts


def _concatenate(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    shape, axis = shape_of(equation), equation.params["dimension"]
    full = [x for x in operands if isinstance(x, Tensor) and x.held == x.shape]
    if len(full) == len(operands) and len({x.order for x in full}) == 1:
        order = full[0].order
        names = [x.name for x in full]
        return graph.tensor("Concat", names, shape, dtype_of(equation), order=order, axis=order.index(axis))
    return graph.tensor("Concat", [graph.plain(x) for x in operands], shape, dtype_of(equation), axis=axis)


def _stack(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    shape, axis = shape_of(equation), equation.params["axis"]
    place = graph.whole_numbers([axis])
    names = [graph.node("Unsqueeze", [graph.plain(x), place]) for x in operands]
    if len(names) == 1:
        return Tensor(names[0], shape, shape, operands[0].dtype, tuple(range(len(shape))))
    return graph.tensor("Concat", names, shape, dtype_of(equation), axis=axis)


def _pad(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    x, filler = operands
    widths = [tuple(map(int, each)) for each in equation.params["padding_config"]]
    if any(inner for _, _, inner in widths) or not isinstance(x, Tensor) or x.held != x.shape:
        raise ValueError("padding between the numbers, or of numbers that are all equal")
    if min(width for low, high, _ in widths for width in (low, high)) < 0:
        raise ValueError("padding that cuts off")
    ordered = [widths[axis] for axis in x.order]
    pads = graph.whole_numbers([low for low, _, _ in ordered] + [high for _, high, _ in ordered])
    inputs = [x.name, pads, graph.plain(filler)]
    return graph.tensor("Pad", inputs, shape_of(equation), x.dtype, order=x.order, mode="constant")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "reshape": _reshape,
        "squeeze": _squeeze,
        "broadcast_in_dim": _broadcast,
        "transpose": _transpose,
        "slice": _slice,
        "rev": _reverse,
        "split": _split,
        "concatenate": _concatenate,
        "stack": _stack,
        "pad": _pad,
    }
)
