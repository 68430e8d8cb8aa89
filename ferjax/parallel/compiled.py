"""The compiled functions of a run: the pure steps of step.py over resident splits, for any layout of devices."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, PyTree

from ferjax.batch import Batch
from ferjax.data.resident import Resident, epoch_order
from ferjax.parallel.dispatch import Figures, TrainStep, gather, make_dispatch
from ferjax.parallel.memory import MemoryCheck
from ferjax.parallel.options import Options, explain_refusal
from ferjax.parallel.placement import Dispatch, Layout
from ferjax.randomness import stream_key
from ferjax.scores import Sums
from ferjax.state import TrainState, best_variables

EvalStep = Callable[[PyTree, Batch], tuple[Sums, Float32[Array, "b k"]]]
FinishEpoch = Callable[[TrainState, Sums], tuple[TrainState, Bool[Array, ""]]]


# One pass over a split. The function is asked between batches whether to stop; if it says so, the result is None.
Evaluate = Callable[[PyTree, Resident, Callable[[], bool]], tuple[Sums, Float32[Array, "*seeds n k"]] | None]


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The compiled functions of a run. They take and return device arrays; none moves data to or from the host.

    Where a layout holds several seeds, every array of a state and of what is computed from it has them as its first
    axis. `train(state, order, phase, steps)` compiles once for every phase of the optimizer's groups; `steps` is at
    most `dispatch.steps_at_most`, and its Figures have the steps as their last axis, valid up to `steps`.
    """

    layout: Layout
    dispatch: Dispatch
    order: Callable[[TrainState], Int32[Array, "*seeds two_n"]]
    train: Callable[[TrainState, Int32[Array, "*seeds two_n"], int, int], tuple[TrainState, Figures]]
    finish_epoch: Callable[[TrainState, Sums, Bool[np.ndarray, " slots"]], tuple[TrainState, Bool[Array, "*seeds"]]]
    choose_best: Callable[[TrainState], dict[str, PyTree]]
    evaluate: Evaluate
    evaluate_finally: Evaluate
    count_compilations: Callable[[], int]
    _copy: Callable[[TrainState], TrainState]

    @property
    def steps_ahead(self) -> int:
        """The number of dispatches that may run before the host waits for the oldest.

        Collectives of virtual CPU devices take threads from one pool, and those of two steps can wait for each other.
        """
        shared = self.layout.mode != "seeds" and self.layout.devices > 1
        return 0 if shared and self.layout.mesh.devices.flat[0].platform == "cpu" else 1

    def take(self, state: TrainState, slot: int) -> TrainState:
        """Copy one seed's state out of `state`, whose memory the next step overwrites."""
        if self.layout.mode != "seeds":
            return self._copy(state)
        place, within = divmod(slot, self.layout.slots // self.layout.devices)
        device = self.layout.mesh.devices[place]

        def here(leaf: Array) -> Array:
            own: Array = next(shard.data for shard in leaf.addressable_shards if shard.device == device)
            return own

        picked: TrainState = _pick(jax.tree.map(here, state), within)
        return picked

    def stack(self, states: Sequence[TrainState]) -> TrainState:
        """Stack the states of several seeds into one; the last one is repeated where the layout has more slots."""
        if self.layout.mode != "seeds":
            return states[0]
        filled = [jax.device_get(jax.tree.leaves(state)) for state in states]
        filled += filled[-1:] * (self.layout.slots - len(filled))
        placed = jax.device_put([np.stack(leaves) for leaves in zip(*filled, strict=True)], self.layout.state)
        stacked: TrainState = jax.tree.unflatten(jax.tree.structure(states[0]), placed)
        return stacked


@functools.partial(jax.jit, static_argnums=1)
def _pick(state: TrainState, slot: int) -> TrainState:
    picked: TrainState = jax.tree.map(lambda leaf: jnp.copy(leaf[slot]), state)
    return picked


def compile_functions(
    train_step: TrainStep,
    eval_step: EvalStep,
    final_eval_step: EvalStep,
    finish_epoch: FinishEpoch,
    train_split: Resident,
    layout: Layout,
    *,
    num_classes: int,
    batch_size: int,
    eval_batch_size: int,
    log_every_steps: int,
    dispatch: Dispatch,
    options: Options | None = None,
) -> Compiled:
    """Compile the steps for a layout. `batch_size`, of all devices together, is at most the number of training rows.

    `options` are for XLA's compiler.
    """
    jit = functools.partial(jax.jit, compiler_options=options) if options else jax.jit
    n = len(train_split)

    def order(state: TrainState) -> Int32[Array, " two_n"]:
        this_epoch, next_epoch = (stream_key(state.seed, "order", state.epoch + ahead) for ahead in (0, 1))
        return epoch_order(this_epoch, next_epoch, n)

    traced: list[int] = []
    dispatch_steps = make_dispatch(
        train_step,
        layout,
        num_classes=num_classes,
        batch_size=batch_size,
        log_every_steps=log_every_steps,
        at_most=dispatch.steps_at_most,
    )

    def train(phase: int, *arguments: Any) -> tuple[TrainState, Figures]:
        traced.append(phase)  # this runs when JAX traces the function, which it does once for each compilation
        return dispatch_steps(phase, *arguments)

    @functools.partial(jit, donate_argnums=0, static_argnums=2, out_shardings=layout.state)
    def train_many(state: TrainState, order: Array, phase: int, split: Resident, steps: Array) -> Any:
        one = functools.partial(train, phase)
        mapped = layout.map_shards(one) if layout.by_hand else layout.map_seeds(one, 2)
        return mapped(state, order, split, steps)

    counts = {1: jax.device_put(np.int32(1), layout.everywhere)}
    check_memory = MemoryCheck(train_many, "train.batch_size", batch_size, layout.slots if layout.stacked else 0)

    def train_steps(state: TrainState, order: Any, phase: int, steps: int) -> tuple[TrainState, Figures]:
        if steps not in counts:
            counts[steps] = jax.device_put(np.int32(steps), layout.everywhere)
        check_memory(phase, state, order, phase, train_split, counts[steps])
        result: tuple[TrainState, Figures] = train_many(state, order, phase, train_split, counts[steps])
        return result

    create_evaluate = functools.partial(
        _create_evaluate, jit=jit, layout=layout, num_classes=num_classes, batch_size=layout.pad(eval_batch_size)
    )
    evaluate = create_evaluate(eval_step)
    return Compiled(
        layout=layout,
        dispatch=dispatch,
        order=jax.jit(layout.map_seeds(order, 1), out_shardings=layout.state),
        train=explain_refusal(train_steps, options or {}),
        finish_epoch=_create_finish_epoch(finish_epoch, layout),
        choose_best=jax.jit(layout.map_seeds(best_variables, 1), out_shardings=layout.state),
        evaluate=evaluate,
        evaluate_finally=evaluate if final_eval_step is eval_step else create_evaluate(final_eval_step),
        count_compilations=lambda: len(traced),
        _copy=jax.jit(lambda state: jax.tree.map(jnp.copy, state), out_shardings=layout.state),
    )


def _create_finish_epoch(finish_epoch: FinishEpoch, layout: Layout) -> Callable[..., Any]:
    def finish(state: TrainState, sums: Sums, active: Bool[Array, ""]) -> tuple[TrainState, Bool[Array, ""]]:
        new_state, improved = finish_epoch(state, sums)
        # A seed that stopped early keeps its best epoch while the others go on.
        best = jax.tree.map(lambda new, old: jnp.where(active, new, old), new_state.best, state.best)
        return new_state.replace(best=best), improved & active

    mapped = jax.jit(layout.map_seeds(finish, 3), donate_argnums=0, out_shardings=layout.state)

    def call(state: TrainState, sums: Sums, active: Bool[np.ndarray, " slots"]) -> Any:
        flags = jax.device_put(active.reshape(layout.stacked), layout.state)
        return mapped(state, sums, flags)

    return call


def initialize(create: Callable[..., PyTree], layout: Layout, *arguments: PyTree) -> PyTree:
    """Compile and run what makes one seed's first state, so that it is made on the devices."""
    sharding = None if layout.mode == "seeds" else layout.everywhere
    return jax.jit(create, out_shardings=sharding)(*arguments)


class _Pass(flax.struct.PyTreeNode):
    """One pass over a split, on the device: where it is, and what it has gathered."""

    start: Int32[Array, "*seeds"]
    sums: Sums
    probabilities: Float32[Array, "*seeds n_padded k"]


def _create_evaluate(
    eval_step: EvalStep, jit: Callable[..., Any], layout: Layout, num_classes: int, batch_size: int
) -> Callable[..., Any]:
    def evaluate_batch(gathered: _Pass, variables: PyTree, split: Resident) -> _Pass:
        index = gathered.start + jnp.arange(batch_size, dtype=jnp.int32)
        inside = jnp.minimum(index, len(split) - 1)
        batch = gather(split, inside, index < len(split), num_classes, layout.spread_rows)
        sums, probabilities = eval_step(variables, batch)
        buffer = jax.lax.dynamic_update_slice_in_dim(gathered.probabilities, probabilities, gathered.start, axis=0)
        return _Pass(start=gathered.start + batch_size, sums=gathered.sums.merge(sums), probabilities=buffer)

    @functools.partial(jax.jit, static_argnums=0, out_shardings=layout.state)
    def open_pass(batches: int) -> _Pass:
        one = _Pass(
            start=jnp.zeros((), jnp.int32),
            sums=Sums.zero(num_classes),
            probabilities=jnp.zeros((batches * batch_size, num_classes), jnp.float32),
        )
        spread: _Pass = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*layout.stacked, *leaf.shape)), one)
        return spread

    @functools.partial(jax.jit, static_argnums=1)
    def close_pass(padded: Float32[Array, "*seeds n_padded k"], rows: int) -> Float32[Array, "*seeds n k"]:
        return padded[..., :rows, :]

    run_batch = jit(layout.map_seeds(evaluate_batch, 2), donate_argnums=0, out_shardings=layout.state)
    check_memory = MemoryCheck(run_batch, "eval.batch_size", batch_size)

    def evaluate(
        variables: PyTree, split: Resident, stop: Callable[[], bool]
    ) -> tuple[Sums, Float32[Array, "*seeds n k"]] | None:
        """Evaluate a split batch by batch; return None if `stop()` turned true on the way."""
        batches = -(-len(split) // batch_size)
        gathered = open_pass(batches)
        check_memory(len(split), gathered, variables, split)
        for _ in range(batches):
            if stop():
                return None
            gathered = run_batch(gathered, variables, split)
            # Batch by batch, so that a signal need not wait for the whole split.
            jax.block_until_ready(gathered.start)
        return gathered.sums, close_pass(gathered.probabilities, len(split))

    return evaluate
