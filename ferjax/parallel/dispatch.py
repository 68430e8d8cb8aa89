"""Many steps in one call of the device: batches are gathered there, and what each step reports is kept there."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32

from ferjax.batch import Batch
from ferjax.data.resident import Resident
from ferjax.parallel.placement import AXIS, Layout
from ferjax.scores import Sums
from ferjax.state import TrainState
from ferjax.step import Diagnostics

TrainStep = Callable[..., tuple[TrainState, Sums, Diagnostics]]


class Window(flax.struct.PyTreeNode):
    """The totals over the examples since the last logged line that go into the next one."""

    loss: Float32[Array, "..."] | Float32[np.ndarray, "..."]
    correct: Float32[Array, "..."] | Float32[np.ndarray, "..."]
    count: Float32[Array, "..."] | Float32[np.ndarray, "..."]


class Figures(flax.struct.PyTreeNode):
    """What each step of a dispatch reports: the totals since the last logged line, and the step's diagnostics."""

    window: Window
    diagnostics: Diagnostics


# dispatch(phase, state, order, split, steps): `phase` says which groups of parameters train, `steps` how many to take.
Dispatched = Callable[[int, TrainState, Int32[Array, " two_n"], Resident, Int32[Array, ""]], tuple[TrainState, Figures]]


def make_dispatch(
    train_step: TrainStep,
    layout: Layout,
    *,
    num_classes: int,
    batch_size: int,
    log_every_steps: int,
    at_most: int,
    known_length: bool = False,
) -> Dispatched:
    """Make the pure function that takes up to `at_most` steps of one seed; nothing is compiled yet.

    Its Figures have the steps as their last axis, valid up to `steps`. Under the layout 'pmap' it is one device's
    part. With `known_length` it takes exactly `at_most` steps, whatever `steps` says: a GPU then need not be asked
    before each turn of the loop whether it is the last.
    """
    axis_name = AXIS if layout.by_hand else None
    spread_rows = (lambda tree: tree) if layout.by_hand else layout.spread_rows

    def dispatch(
        phase: int, state: TrainState, order: Int32[Array, " two_n"], split: Resident, steps: Int32[Array, ""]
    ) -> tuple[TrainState, Figures]:
        def take_step(state: TrainState) -> tuple[TrainState, Figures]:
            position = _find_positions(layout, batch_size)
            first = state.step * batch_size - state.epoch * len(split)
            padded = layout.pad(batch_size) > batch_size
            # What lies beyond the batch repeats its last row, and is masked.
            index = order[first + (jnp.minimum(position, batch_size - 1) if padded else position)]
            mask = position < batch_size if padded else None
            batch = gather(split, index, mask, num_classes, spread_rows)
            state, _, diagnostics = train_step(state, batch, epoch=phase, axis_name=axis_name, shares=layout.shares)
            totals = state.window_sums
            # A copy, since the next step overwrites the memory of the state.
            figures = Figures(Window(jnp.copy(totals.loss), totals.correct, totals.count), diagnostics)
            is_logged = state.step % log_every_steps == 0
            window = jax.tree.map(lambda total: jnp.where(is_logged, 0.0, total), state.window_sums)
            return state.replace(window_sums=window), figures

        return _take_steps(take_step, state, np.int32(at_most) if known_length else steps, at_most)

    return dispatch


def _find_positions(layout: Layout, batch_size: int) -> Int32[Array, " b"]:
    """Return the positions in the batch that this function computes: all, or this shard's; the rest is padding."""
    if layout.mode != "pmap":
        return jnp.arange(layout.pad(batch_size), dtype=jnp.int32)
    rows = layout.pad(batch_size) // layout.devices
    return jax.lax.axis_index(AXIS) * rows + jnp.arange(rows, dtype=jnp.int32)


def gather(
    split: Resident,
    index: Int32[Array, " b"],
    mask: Bool[Array, " b"] | None,
    num_classes: int,
    spread_rows: Callable[[Any], Any],
) -> Batch:
    """Take the rows of `index`; where the split has no soft targets, all of a target's mass is on its label."""
    index = spread_rows(index)
    labels = split.labels[index]
    targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32) if split.targets is None else split.targets[index]
    batch: Batch = spread_rows(Batch(split.images[index], labels, targets, mask))
    return batch


def _take_steps(
    take_step: Callable[[TrainState], tuple[TrainState, Figures]],
    state: TrainState,
    steps: Array | np.integer,
    at_most: int,
) -> tuple[TrainState, Figures]:
    """Take `steps` steps; with `at_most` 1 without a loop, which on CPU gains no time and costs a copy of the state."""
    if at_most == 1:
        state, figures = take_step(state)
        return state, jax.tree.map(lambda leaf: leaf[None], figures)

    def take_another(carry: tuple[Array, TrainState, Figures]) -> tuple[Array, TrainState, Figures]:
        done, state, gathered = carry
        state, figures = take_step(state)
        return done + 1, state, jax.tree.map(lambda all, one: all.at[done].set(one), gathered, figures)

    row = jnp.zeros(at_most)
    empty = Figures(Window(loss=row, correct=row, count=row), Diagnostics(learning_rate=row, update_norm=row))
    carry = (jnp.zeros((), jnp.int32), state, empty)
    if isinstance(steps, np.integer):
        (_, state, gathered), _ = jax.lax.scan(lambda carry, _: (take_another(carry), None), carry, length=int(steps))
        return state, gathered
    _, state, gathered = jax.lax.while_loop(lambda carry: carry[0] < steps, take_another, carry)
    return state, gathered
