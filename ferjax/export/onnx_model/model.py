"""The ONNX file's model: a graph from uint8 images to probabilities, and what a reader must know of it."""

import importlib.metadata
from collections.abc import Callable, Mapping

import jax
import numpy as np
import onnx
from jaxtyping import Array, Float32, UInt8

from ferjax.export.onnx_model.graph import BATCH, INPUT, OUTPUT, Graph, Node, Tensor
from ferjax.export.onnx_model.simplification import simplify
from ferjax.export.onnx_model.storage import store
from ferjax.export.onnx_model.walk import walk

# Of 2022: every runtime of the last years reads it, and the browser's.
OPSET = 18
_IR_VERSION = 8


def create_model(
    predict: Callable[[UInt8[Array, "b h w c"]], Float32[Array, "b k"]],
    image_shape: tuple[int, int, int],
    classes: tuple[str, ...],
    facts: Mapping[str, str],
    storage: str = "float32",
) -> onnx.ModelProto:
    """Write a function of uint8 images as an ONNX model, whose input has any number of images.

    `predict` is traced, not run. `facts` go into the model's metadata, and `storage` is a name of STORAGES. Raises
    UserError for an operation that ONNX has no counterpart of here.
    """
    closed = jax.make_jaxpr(predict)(jax.ShapeDtypeStruct((BATCH, *image_shape), np.uint8))
    graph = Graph()
    shape = (BATCH, *image_shape)
    (found,) = walk(graph, closed, [Tensor(INPUT, shape, shape, np.dtype(np.uint8), (0, 1, 2, 3))])
    graph.nodes.append(Node("Identity", [graph.plain(found)], OUTPUT, {}))
    simplify(graph)
    store(graph, storage)
    return _assemble(graph, image_shape, len(classes), facts)


def _assemble(
    graph: Graph, image_shape: tuple[int, int, int], num_classes: int, facts: Mapping[str, str]
) -> onnx.ModelProto:
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node(node.op, node.inputs, [node.output], **node.attributes) for node in graph.nodes]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    inputs = [helper.make_tensor_value_info(INPUT, kinds.UINT8, ["n", *image_shape])]
    outputs = [helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, ["n", num_classes])]
    model = helper.make_model(
        helper.make_graph(nodes, "ferjax", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="ferjax",
        producer_version=importlib.metadata.version("ferjax"),
    )
    helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    return model
