"""What a transform needs to change a batch in the same way on one device as on many."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
from jaxtyping import PRNGKeyArray

from ferjax.batch import Batch

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Shards:
    """The shards of a batch under a mapped axis, `rows` rows on each device; without an axis, the whole batch."""

    rows: int
    axis_name: str | None = None

    def draw(self, draw: Callable[[int], T]) -> T:
        """Call `draw` with the number of rows of all shards, and take this shard's of what it draws.

        That every shard draws for all of them costs next to nothing.
        """
        count = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
        return self.take(draw(self.rows * count))

    def take(self, everything: T) -> T:
        """Take this shard's rows of arrays, in a tree, that hold the rows of all shards."""
        if self.axis_name is None:
            return everything
        first = jax.lax.axis_index(self.axis_name) * self.rows
        taken: T = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, self.rows), everything)
        return taken

    def gather(self, rows: T) -> T:
        """Put the rows of all shards together, in order, of arrays in a tree that hold this shard's."""
        if self.axis_name is None:
            return rows
        gathered: T = jax.lax.all_gather(rows, self.axis_name, axis=0, tiled=True)
        return gathered


# Changes a batch whose images are float32 levels 0..255, by a random key of its own.
Transform: TypeAlias = Callable[[PRNGKeyArray, Batch, Shards], Batch]
