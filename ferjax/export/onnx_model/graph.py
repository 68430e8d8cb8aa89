"""The nodes of an ONNX graph as they grow, and the tensors that they compute.

A tensor may be kept with its axes in another order than JAX has them, since ONNX convolves images [n, c, h, w] and
JAX's networks [n, h, w, c]: each tensor says which order it has, and a Transpose is written only where an operation
needs another one. So a chain of convolutions, pools and what happens to single numbers between them has none.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

# The batch's size while the network is traced. A prime number that no layer's size is a multiple of: in the file, an
# axis whose length is a multiple of it has whatever length the batch makes of it.
BATCH = 1009
INPUT, OUTPUT = "images", "probabilities"

Shape: TypeAlias = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor that the graph computes.

    `shape` is JAX's. `held` is the shape of what the node gives, in JAX's order of the axes: where it has a 1 and
    `shape` more, the numbers are equal along that axis, and repeated only when an operation needs them to be. `order`
    has, for each axis of what the node gives, the number of that axis in JAX's order.
    """

    name: str
    shape: Shape
    held: Shape
    dtype: np.dtype[Any]
    order: Shape


Atom: TypeAlias = Tensor | np.ndarray


@dataclasses.dataclass
class Node:
    """One operation of the graph; a name in `inputs` may be a constant's."""

    op: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]


@dataclasses.dataclass
class Graph:
    """The nodes in their order, and the constants by name."""

    nodes: list[Node] = dataclasses.field(default_factory=list)
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    count: int = 0

    def name(self, word: str) -> str:
        """Return a name that nothing else in the graph has."""
        self.count += 1
        return f"{word.lower()}_{self.count}"

    def constant(self, values: np.ndarray, word: str = "constant") -> str:
        """Add a constant, and return its name."""
        name = self.name(word)
        self.constants[name] = np.ascontiguousarray(values) if values.ndim else values
        return name

    def whole_numbers(self, values: Sequence[int]) -> str:
        """Add a list of whole numbers as a constant, and return its name."""
        return self.constant(np.asarray(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        output = self.name(op)
        self.nodes.append(Node(op, list(inputs), output, attributes))
        return output

    def tensor(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: Any,
        *,
        order: Sequence[int] | None = None,
        held: Sequence[int] | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Add a node, and return what it computes; without `order` its axes are as JAX has them."""
        shape = tuple(shape)
        order = tuple(range(len(shape))) if order is None else tuple(order)
        output = self.node(op, inputs, **attributes)
        return Tensor(output, shape, shape if held is None else tuple(held), np.dtype(dtype), order)

    def arrange(self, atom: Atom, order: Sequence[int]) -> str:
        """Return the name of a tensor or constant with its axes in this order; a scalar has none."""
        if isinstance(atom, np.ndarray):
            return self.constant(atom.transpose(order) if atom.ndim else atom)
        order = tuple(order)
        if atom.order == order or not atom.shape:
            return atom.name
        moved = [axis for axis in order if atom.held[axis] != 1]
        if moved == [axis for axis in atom.order if atom.held[axis] != 1]:
            # Only axes of length 1 move, so that the numbers stay where they are.
            return self.node("Reshape", [atom.name, self.sizes([atom.held[axis] for axis in order])])
        return self.node("Transpose", [atom.name], perm=[atom.order.index(axis) for axis in order])

    def plain(self, atom: Atom) -> str:
        """Return the name of a tensor or constant whose axes are as JAX has them, and all of their full length."""
        if isinstance(atom, np.ndarray):
            return self.constant(atom)
        name = self.arrange(atom, range(len(atom.shape)))
        return name if atom.held == atom.shape else self.node("Expand", [name, self._lengths(atom)])

    def _lengths(self, tensor: Tensor) -> str:
        """Return the name of a tensor's shape, for Expand, which keeps an axis where it is told 1."""
        if tensor.held[0] % BATCH == 0 or tensor.shape[0] != BATCH:
            return self.whole_numbers([1 if size % BATCH == 0 else size for size in tensor.shape])
        batch = self.node("Shape", [INPUT], start=0, end=1)
        return self.node("Concat", [batch, self.whole_numbers(tensor.shape[1:])], axis=0)

    def hold(self, values: np.ndarray, shape: Sequence[int]) -> Tensor:
        """Return a constant as a tensor of `shape`, repeated along the axes where the constant has length 1."""
        return Tensor(self.constant(values), tuple(shape), values.shape, values.dtype, tuple(range(values.ndim)))

    def sizes(self, shape: Sequence[int]) -> str:
        """Return the name of a Reshape's target; the batch's axis is what the others leave.

        Raises ValueError where two axes depend on the batch.
        """
        targets = [-1 if size % BATCH == 0 and size else size for size in shape]
        if targets.count(-1) > 1:
            raise ValueError("two axes whose lengths depend on the batch")
        return self.whole_numbers(targets)


def broadcast_held(atoms: Sequence[Atom], rank: int) -> Shape:
    """Return the shape that an operation on single numbers gives: of each axis the longest of its operands."""
    shapes = [atom.held if isinstance(atom, Tensor) else atom.shape for atom in atoms]
    return tuple(max((shape[axis] for shape in shapes if shape), default=1) for axis in range(rank))
