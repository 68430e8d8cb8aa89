"""Work of the optimizer that is the same on every device, divided among them."""

import dataclasses
from collections.abc import Callable

import jax
from jaxtyping import Array, Float, PyTree

# Below so many rows a matrix is done before the devices have met.
_FEWEST_ROWS = 128


@dataclasses.dataclass(frozen=True)
class Shares:
    """`devices` devices along the mapped axis `axis_name`, which all have the same matrices, and divide their rows.

    `on_each(function)` runs a function once on each device, where `cut` and `join` can be called; its arguments and its
    results are the same everywhere.
    """

    axis_name: str
    devices: int
    on_each: Callable[[Callable[[PyTree], PyTree]], Callable[[PyTree], PyTree]]

    def divide(self, rows: int) -> bool:
        """Return whether a matrix of so many rows is to be divided."""
        return rows >= _FEWEST_ROWS and rows % self.devices == 0

    def cut(self, matrix: Float[Array, "r c"]) -> Float[Array, "s c"]:
        """Return this device's rows of a matrix."""
        rows = len(matrix) // self.devices
        return jax.lax.dynamic_slice_in_dim(matrix, jax.lax.axis_index(self.axis_name) * rows, rows)

    def join(self, rows: Float[Array, "s c"]) -> Float[Array, "r c"]:
        """Return the whole matrix of all devices' rows."""
        joined: Float[Array, "r c"] = jax.lax.all_gather(rows, self.axis_name, tiled=True)
        return joined
