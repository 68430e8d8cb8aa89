"""Convolutions, matrix products, pools, and reductions over axes."""

import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jax.extend.core import JaxprEqn

from ferjax.export.onnx_model.graph import Atom, Graph, Tensor
from ferjax.export.onnx_model.rule import Rule, dtype_of, shape_of


def _convolve(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    images, kernel = operands
    params, numbers = equation.params, equation.params["dimension_numbers"]
    if params["batch_group_count"] != 1 or set(params["lhs_dilation"]) != {1}:
        raise ValueError("a convolution over groups of the batch, or a transposed one")
    lows, highs = zip(*params["padding"], strict=True)
    inputs = [_full(graph, images, numbers.lhs_spec), _full(graph, kernel, numbers.rhs_spec)]
    return graph.tensor(
        "Conv",
        inputs,
        shape_of(equation),
        dtype_of(equation),
        order=numbers.out_spec,
        kernel_shape=[kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
        strides=list(params["window_strides"]),
        pads=[*lows, *highs],
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
    )


def _full(graph: Graph, x: Atom, order: Sequence[int]) -> str:
    """Return the name of an operand in this order, every axis at its full length."""
    if isinstance(x, Tensor) and x.held != x.shape:
        x = Tensor(graph.plain(x), x.shape, x.shape, x.dtype, tuple(range(len(x.shape))))
    return graph.arrange(x, order)


def _multiply(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
    left, right = operands
    (contract_left, contract_right), (batch_left, batch_right) = equation.params["dimension_numbers"]
    shape, dtype = shape_of(equation), dtype_of(equation)
    rank = len(left.shape)
    if not batch_left and contract_left == (rank - 1,) and contract_right == (0,) and len(right.shape) == 2:
        return graph.tensor("MatMul", [graph.plain(left), graph.plain(right)], shape, dtype)
    letters = iter(string.ascii_lowercase)
    of_left = [next(letters) for _ in left.shape]
    of_right = [next(letters) for _ in right.shape]
    for here, there in zip((*contract_left, *batch_left), (*contract_right, *batch_right), strict=True):
        of_right[there] = of_left[here]
    batch = [of_left[axis] for axis in batch_left]
    rest_left = [of_left[axis] for axis in range(rank) if axis not in (*contract_left, *batch_left)]
    rest_right = [of_right[axis] for axis in range(len(right.shape)) if axis not in (*contract_right, *batch_right)]
    text = f"{''.join(of_left)},{''.join(of_right)}->{''.join(batch + rest_left + rest_right)}"
    return graph.tensor("Einsum", [graph.plain(left), graph.plain(right)], shape, dtype, equation=text)


def _reduce(op: str) -> Rule:
    """Make the rule of a reduction, whose axes need not be brought into JAX's order for it."""

    def rule(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
        (x,) = operands
        axes, shape = equation.params["axes"], shape_of(equation)
        if not isinstance(x, Tensor) or any(x.held[axis] != x.shape[axis] for axis in axes):
            x = Tensor(graph.plain(x), x.shape, x.shape, x.dtype, tuple(range(len(x.shape))))
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        order = [kept.index(axis) for axis in x.order if axis in kept]
        inputs = [x.name, graph.whole_numbers([x.order.index(axis) for axis in axes])]
        held = [x.held[axis] for axis in kept]
        return graph.tensor(op, inputs, shape, dtype_of(equation), order=order, held=held, keepdims=0)

    return rule


def _arg(op: str) -> Rule:
    """Make the rule of argmax or argmin, which give int64 in ONNX."""

    def rule(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
        (axis,), shape = equation.params["axes"], shape_of(equation)
        found = graph.node(op, [graph.plain(operands[0])], axis=axis, keepdims=0, select_last_index=0)
        kind = {"int32": 6, "int64": 7}[np.dtype(dtype_of(equation)).name]
        return graph.tensor("Cast", [found], shape, dtype_of(equation), to=kind)

    return rule


def _pool(op: str) -> Rule:
    """Make the rule of a window that slides over the pixels."""

    def rule(graph: Graph, equation: JaxprEqn, operands: list[Atom]) -> Atom:
        (x,), params, shape = operands, equation.params, shape_of(equation)
        window, strides = params["window_dimensions"], params["window_strides"]
        pads, rank = params["padding"], len(window)
        moving = [axis for axis in range(rank) if window[axis] > 1 or strides[axis] > 1 or any(pads[axis])]
        if rank != 4 or 0 in moving or len(moving) > 2 or set(params.get("base_dilation", (1,))) != {1}:
            raise ValueError("a window over other than two axes of an image")
        still = [axis for axis in range(1, rank) if axis not in moving]
        pixels = sorted([*moving, *still[1:]])
        order = (0, still[0], *pixels)
        attributes = {
            "kernel_shape": [window[axis] for axis in pixels],
            "strides": [strides[axis] for axis in pixels],
            "pads": [pads[axis][0] for axis in pixels] + [pads[axis][1] for axis in pixels],
        }
        dilations = params.get("window_dilation", (1,) * rank)
        if op == "MaxPool":
            attributes["dilations"] = [dilations[axis] for axis in pixels]
            return graph.tensor(op, [_full(graph, x, order)], shape, x.dtype, order=order, **attributes)
        if set(dilations) != {1}:
            raise ValueError("a sum over a window with holes")
        mean = graph.node(op, [_full(graph, x, order)], count_include_pad=1, **attributes)
        size = graph.constant(np.asarray(np.prod(window), x.dtype))
        return graph.tensor("Mul", [mean, size], shape, x.dtype, order=order)

    return rule


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "conv_general_dilated": _convolve,
        "dot_general": _multiply,
        "reduce_sum": _reduce("ReduceSum"),
        "reduce_max": _reduce("ReduceMax"),
        "reduce_min": _reduce("ReduceMin"),
        "reduce_prod": _reduce("ReduceProd"),
        "argmax": _arg("ArgMax"),
        "argmin": _arg("ArgMin"),
        "reduce_window_max": _pool("MaxPool"),
        "reduce_window_sum": _pool("AveragePool"),
    }
)
