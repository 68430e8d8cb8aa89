"""A graph made smaller without changing what it computes: batch norm into convolutions, four slices into a pool."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ferjax.export.onnx_model.graph import OUTPUT, Graph, Node

_AFFINE = ("Add", "Sub", "Mul", "Div")


def simplify(graph: Graph) -> None:
    """Fold and fuse nodes, then leave out the nodes and constants that nothing reads, and equal constants but one."""
    _share_constants(graph)
    _remove_unread(graph)
    _use_relu(graph)
    _fold_into_convolutions(graph)
    _use_max_pool(graph)
    _share_constants(graph)  # folded kernels of several views are equal again
    _remove_unread(graph)


def _share_constants(graph: Graph) -> None:
    first: dict[tuple[object, ...], str] = {}
    same = {
        name: first.setdefault((values.dtype.str, values.shape, values.tobytes()), name)
        for name, values in graph.constants.items()
    }
    for node in graph.nodes:
        node.inputs = [same.get(name, name) for name in node.inputs]


def _remove_unread(graph: Graph) -> None:
    read, kept = {OUTPUT}, []
    for node in reversed(graph.nodes):
        if node.output in read:
            kept.append(node)
            read.update(node.inputs)
    graph.nodes = kept[::-1]
    graph.constants = {name: values for name, values in graph.constants.items() if name in read}


def _count_readers(graph: Graph) -> Counter[str]:
    return Counter([OUTPUT, *(name for node in graph.nodes for name in node.inputs)])


def _use_relu(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op != "Max" or len(node.inputs) != 2:
            continue
        for x, zero in (node.inputs, node.inputs[::-1]):
            if zero in graph.constants and not graph.constants[zero].any() and graph.constants[zero].size == 1:
                node.op, node.inputs = "Relu", [x]
                break


def _fold_into_convolutions(graph: Graph) -> None:
    """Multiply a channel's factor into the kernel before it, and add its shift to the bias."""
    readers = _count_readers(graph)
    made = {node.output: node for node in graph.nodes}
    folded: set[int] = set()
    for node in graph.nodes:
        pair = _find_affine(graph, node, made)
        if pair is None:
            continue
        convolution, values = pair
        if readers[convolution.output] != 1:
            continue
        _fold(graph, convolution, node.op, values)
        # The convolution gives what the folded node gave.
        made.pop(convolution.output)
        convolution.output = node.output
        made[node.output] = convolution
        folded.add(id(node))
    graph.nodes = [node for node in graph.nodes if id(node) not in folded]


def _find_affine(graph: Graph, node: Node, made: Mapping[str, Node]) -> tuple[Node, np.ndarray] | None:
    """Return the convolution and the number for each of its channels, if that is what the node works on."""
    if node.op not in _AFFINE:
        return None
    for x, constant in (node.inputs, node.inputs[::-1]):
        convolution = made.get(x)
        if convolution is None or convolution.op != "Conv" or constant not in graph.constants:
            continue
        if node.op in ("Sub", "Div") and x != node.inputs[0]:
            continue
        kernel, values = graph.constants.get(convolution.inputs[1]), graph.constants[constant]
        if kernel is None or values.size not in (1, len(kernel)) or values.dtype != kernel.dtype:
            continue
        if values.size == 1 or values.shape == (1, len(kernel), 1, 1):
            return convolution, np.broadcast_to(values.reshape(-1), len(kernel))
    return None


def _fold(graph: Graph, convolution: Node, op: str, values: np.ndarray) -> None:
    kernel = graph.constants[convolution.inputs[1]]
    has_bias = len(convolution.inputs) == 3
    bias = graph.constants[convolution.inputs[2]] if has_bias else np.zeros(len(kernel), kernel.dtype)
    kernel, bias, values = (array.astype(np.float64) for array in (kernel, bias, values))
    if op in ("Mul", "Div"):
        factor = values if op == "Mul" else 1.0 / values
        kernel, bias = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1)), bias * factor
    else:
        bias = bias + (values if op == "Add" else -values)
    inputs = [kernel.astype(np.float32), bias.astype(np.float32)]
    convolution.inputs = [convolution.inputs[0], *(graph.constant(array, "kernel") for array in inputs)]


_CORNERS = frozenset({(0, 0), (0, 1), (1, 0), (1, 1)})


def _use_max_pool(graph: Graph) -> None:
    """Write the largest of the four corners of each 2x2 block as one MaxPool."""
    made = {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        leaves = _find_leaves(node, made) if node.op == "Max" else []
        if len(leaves) != 4 or any(leaf is None or leaf.op != "Slice" for leaf in leaves):
            continue
        slices = [leaf for leaf in leaves if leaf is not None]
        corners = {_find_corner(graph, leaf) for leaf in slices}
        if corners == _CORNERS and len({leaf.inputs[0] for leaf in slices}) == 1:
            node.op, node.inputs = "MaxPool", [slices[0].inputs[0]]
            node.attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}


def _find_leaves(node: Node, made: Mapping[str, Node]) -> list[Node | None]:
    """Return what a tree of Max takes the largest of."""
    leaves: list[Node | None] = []
    for name in node.inputs:
        below = made.get(name)
        leaves += _find_leaves(below, made) if below is not None and below.op == "Max" else [below]
    return leaves


def _find_corner(graph: Graph, node: Node) -> tuple[int, int] | None:
    """Return which pixel of each 2x2 block a slice of images [n, c, h, w] takes, if it is one of them."""
    starts, _, axes, steps = (graph.constants[name].tolist() for name in node.inputs[1:])
    start, step = dict(zip(axes, starts, strict=True)), dict(zip(axes, steps, strict=True))
    return (start[2], start[3]) if step == {2: 2, 3: 2} else None
