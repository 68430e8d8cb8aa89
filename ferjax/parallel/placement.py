"""Where a run's arrays are on its devices: the rows of a batch spread over a mesh, or several seeds side by side."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from ferjax.data import Rows
from ferjax.data.resident import Resident
from ferjax.errors import UserError
from ferjax.optim.shares import Shares

AXIS = "shards"
_EVERYWHERE, _SPLIT = PartitionSpec(), PartitionSpec(AXIS)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A mesh of one axis, and what lies along it.

    'mesh' and 'pmap' spread the rows of each batch, with one state that is the same everywhere; they differ in who
    partitions the step, XLA or the step's own collectives. 'seeds' holds one state a slot, stacked along the first
    axis of every array; a device has one slot or, by `vmap`, several.
    """

    mesh: Mesh
    mode: str
    slots: int = 1

    @property
    def devices(self) -> int:
        return int(self.mesh.size)

    @property
    def by_hand(self) -> bool:
        """Whether a function runs on each device, with the collectives written in it."""
        return self.mode == "pmap"

    @property
    def everywhere(self) -> NamedSharding:
        """The same on each device."""
        return NamedSharding(self.mesh, _EVERYWHERE)

    @property
    def state(self) -> NamedSharding:
        """Where a state and what is computed from it lie."""
        return self.spread if self.mode == "seeds" else self.everywhere

    @property
    def spread(self) -> NamedSharding:
        """The first axis over the mesh."""
        return NamedSharding(self.mesh, _SPLIT)

    @property
    def stacked(self) -> tuple[int, ...]:
        """The leading axes of a state's arrays."""
        return (self.slots,) if self.mode == "seeds" else ()

    @property
    def shares(self) -> Shares | None:
        """How the devices divide what all of them would compute: virtual ones of one CPU do.

        On a GPU the products of an optimizer take less time than the devices need to meet, and so do they where
        several processes meet over a network.
        """
        near = jax.process_count() == 1 and self.mesh.devices.flat[0].platform == "cpu"
        if self.mode == "seeds" or self.devices == 1 or not near:
            return None
        return Shares(AXIS, self.devices, (lambda function: function) if self.by_hand else self.map_shards)

    def describe(self, seeds: int) -> str:
        """Describe in a sentence which devices `seeds` seeds train on, and how."""
        kind = self.mesh.devices.flat[0].device_kind
        devices = f"{self.devices} device{'s' if self.devices > 1 else ''} ({kind})"
        if self.mode != "seeds":
            how = "" if self.devices == 1 else f", each batch's rows spread over them ({self.mode})"
            faster = ", which on CPU is faster than side by side" if kind == "cpu" else ""
            turns = f"; {seeds} seeds, one after the other{faster} (parallel.seeds)" if seeds > 1 else ""
            return f"{devices}{how}{turns}."
        each = self.slots // self.devices
        turns = "" if self.slots >= seeds else f", {self.slots} at a time"
        idle = len(jax.local_devices()) - self.devices
        unused = f"; {idle} more have nothing to do" if idle else ""
        return f"{devices}; {seeds} seeds{turns}, {each} on each device (parallel.seeds){unused}."

    def pad(self, rows: int) -> int:
        """Return the least number of rows, at least `rows`, that the devices divide evenly."""
        return rows if self.mode == "seeds" else -(-rows // self.devices) * self.devices

    def spread_rows(self, tree: Any) -> Any:
        """Lay the first axis of every array over the mesh, so that XLA partitions what is computed from it."""
        return tree if self.mode == "seeds" else jax.lax.with_sharding_constraint(tree, self.spread)

    def map_seeds(self, function: Callable[..., Any], stacked: int) -> Callable[..., Any]:
        """Apply `function` to each slot's part of its first `stacked` arguments; the others are shared.

        A device with one slot runs the function as it is: under `vmap` a convolution with a kernel a seed is a grouped
        one, which is slower.
        """
        if self.mode != "seeds":
            return function

        def run_local(*arguments: Any) -> Any:
            mine, shared = arguments[:stacked], arguments[stacked:]
            if self.slots > self.devices:
                return jax.vmap(lambda *one: function(*one, *shared))(*mine)
            results = function(*jax.tree.map(lambda leaf: leaf[0], mine), *shared)
            return jax.tree.map(lambda leaf: leaf[None], results)

        def mapped(*arguments: Any) -> Any:
            specs = tuple(_SPLIT if number < stacked else _EVERYWHERE for number in range(len(arguments)))
            return _shard_map(run_local, self.mesh, specs, _SPLIT)(*arguments)

        return mapped

    def map_shards(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Run `function` once on each device, on arguments that are the same everywhere; its results must be too.

        `jax.pmap` is a wrapper of this: jit around shard_map, without the check of what varies over the mesh. (With
        that check the gradient would be summed over the devices by itself, and once more by the step.)
        """

        def mapped(*arguments: Any) -> Any:
            return _shard_map(function, self.mesh, (_EVERYWHERE,) * len(arguments), _EVERYWHERE)(*arguments)

        return mapped


def _shard_map(function: Callable[..., Any], mesh: Mesh, in_specs: Any, out_specs: Any) -> Callable[..., Any]:
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def create_layout(mode: str, devices: int, seeds: int = 0) -> Layout:
    """Make the layout of a run on `devices` devices (0 is all).

    With `seeds` 0 the rows of each batch are spread by `mode`; otherwise each seed has a slot of its own.

    Raises UserError where there are fewer devices.
    """
    found = find_devices(devices, local=seeds > 0)
    if not seeds:
        return Layout(_create_mesh(found), mode)
    used = min(seeds, len(found))
    return Layout(_create_mesh(found[:used]), "seeds", -(-seeds // used) * used)


def find_devices(count: int, *, local: bool) -> list[jax.Device]:
    """Return the first `count` devices (0 is all) of all processes, or of this one; raises UserError for too few."""
    found = jax.local_devices() if local else jax.devices()
    if count > len(found):
        raise UserError(
            f"--config.parallel.devices={count}, but there {'is' if len(found) == 1 else 'are'} {len(found)} here "
            f"({found[0].device_kind}): choose {len(found)} or less, or 0 for all."
        )
    if 0 < count < len(found) and jax.process_count() > 1 and not local:
        raise UserError("With several processes every device takes part: leave --config.parallel.devices at 0.")
    return found[:count] if count else found


def _create_mesh(devices: Sequence[jax.Device]) -> Mesh:
    # Explicit axes, make_mesh's default, would put shardings into the types of every function here.
    return jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)


def plan_seeds(seeds: Sequence[int], how: str, devices: int) -> list[list[int]]:
    """Divide the seeds into lists: those of one list train side by side, one list after the other.

    `how` is 'together' (all at once, several a device if need be), 'in_turn' (never more than one a device) or 'auto':
    in turn on CPU, where several on a device are no faster than one after the other, and else together. Where
    more seeds than a CPU has devices would leave some without one in the last turn, each seed has all of them.
    """
    found = find_devices(devices, local=True)
    in_turn = how == "in_turn" or (how == "auto" and found[0].platform == "cpu")
    width = len(found) if in_turn else len(seeds)
    if how == "auto" and in_turn and len(seeds) > width and len(seeds) % width:
        width = 1
    return [list(seeds[first : first + width]) for first in range(0, len(seeds), width)]


@dataclasses.dataclass(frozen=True)
class Dispatch:
    """The most steps of one call of the device; if `adaptive`, as many of them as fit in a second."""

    steps_at_most: int
    adaptive: bool = False


def plan_dispatch(wanted: int, log_every_steps: int, epoch_steps: int) -> Dispatch:
    """Choose how many steps a dispatch takes: `wanted` of an epoch's, or, for 0, by the kind of device.

    On CPU it takes one, since a dispatch costs next to nothing beside a step there. Several processes need the same
    number of steps in each of their dispatches, so they cannot choose it by their clocks.
    """
    if wanted:
        return Dispatch(min(wanted, epoch_steps))
    if jax.default_backend() == "cpu":
        return Dispatch(1)
    if jax.process_count() > 1:
        return Dispatch(min(log_every_steps, epoch_steps))
    return Dispatch(epoch_steps, adaptive=epoch_steps > 1)


def place(rows: Rows, index: Int[np.ndarray, " n"], layout: Layout) -> Resident:
    """Copy the rows of `index` to every device; the only host-to-device copy of pixels in a run."""
    targets = None if rows.targets is None else rows.targets[index]
    arrays = (rows.images[index], rows.labels[index].astype(np.int32), targets)
    if jax.process_count() == 1:
        return Resident(*jax.device_put(arrays, layout.everywhere))

    def place_own(array: np.ndarray) -> jax.Array:
        # `device_put` would send every process's rows to every other one, to compare them.
        return jax.make_array_from_callback(array.shape, layout.everywhere, lambda part: array[part])

    images, labels, soft = arrays
    return Resident(place_own(images), place_own(labels), None if soft is None else place_own(soft))
