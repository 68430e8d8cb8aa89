"""How a file keeps its float32 numbers: as they are, or in fewer bytes from which a node makes them again.

Runtimes compute such nodes once, when they load the file, since nothing in them depends on an image.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import onnx
from jaxtyping import Float, Float32

from ferjax.export.onnx_model.graph import Graph, Node

_LEAST_NUMBERS = 1024  # smaller constants are not worth a node
_LEVELS = 2**15 - 1


@dataclasses.dataclass(frozen=True)
class Storage:
    """A way to keep numbers: `write` adds constants to a graph and returns the nodes that make the numbers of them."""

    text: str
    write: Callable[[Graph, Float32[np.ndarray, "..."], str], list[Node]] | None


def _write_half(graph: Graph, values: Float32[np.ndarray, "..."], name: str) -> list[Node]:
    """Keep 11 significant bits; every number is off by up to one part in 2,000."""
    half = graph.constant(values.astype(np.float16), "half")
    return [Node("Cast", [half], name, {"to": onnx.TensorProto.FLOAT})]


def _write_three_bytes(graph: Graph, values: Float32[np.ndarray, "..."], name: str) -> list[Node]:
    """Keep each number as 24 bits of its row's largest: two bytes, and a third for what they leave.

    A row is what one output channel of a convolution is made from. Off by up to one part in 16 million of the largest.
    """
    scale = np.abs(_rows(values)).max(axis=-1, keepdims=True).reshape(-1, *[1] * (values.ndim - 1)) / _LEVELS
    scale = np.where(scale == 0, 1.0, scale)
    high = np.round(values / scale)
    low = np.round((values / scale - high) * 254)  # -127..127
    parts = [graph.constant(high.astype(np.int16), "high"), graph.constant(low.astype(np.int8), "low")]
    factors = [graph.constant(factor.astype(np.float32), "scale") for factor in (scale, scale / 254)]
    casts = [Node("Cast", [part], graph.name("cast"), {"to": onnx.TensorProto.FLOAT}) for part in parts]
    products = [
        Node("Mul", [cast.output, factor], graph.name("mul"), {}) for cast, factor in zip(casts, factors, strict=True)
    ]
    return [*casts, *products, Node("Add", [product.output for product in products], name, {})]


def _rows(values: Float32[np.ndarray, "..."]) -> Float[np.ndarray, "rows n"]:
    return values.reshape(len(values), -1).astype(np.float64)


STORAGES: Mapping[str, Storage] = MappingProxyType(
    {
        "24bit": Storage("three bytes a number, which loses nothing that probabilities show", _write_three_bytes),
        "float32": Storage("four bytes a number, as trained", None),
        "float16": Storage("two bytes a number; refused where probabilities change by more than 1e-4", _write_half),
    }
)


def store(graph: Graph, storage: str) -> None:
    """Keep the graph's large float32 constants as `storage`, a name of STORAGES, says."""
    write = STORAGES[storage].write
    if write is None:
        return
    nodes: list[Node] = []
    for name, values in list(graph.constants.items()):
        if values.dtype == np.float32 and values.size >= _LEAST_NUMBERS:
            del graph.constants[name]
            nodes += write(graph, values, name)
    graph.nodes[:0] = nodes
