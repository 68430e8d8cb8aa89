"""The only file that knows devices: what is compiled, what is donated, what lives where.

One device so far: the steps of step.py under `jit`, reading resident splits by gathering on the device.
"""

import dataclasses
import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, PyTree

from ferjax.data.resident import Resident, epoch_order
from ferjax.state import Sums, TrainState
from ferjax.step import Batch, Diagnostics, stream_key

EvalStep = Callable[[PyTree, Batch], tuple[Sums, Float32[Array, "b k"]]]
Evaluate = Callable[[PyTree, Resident, Callable[[], bool]], tuple[Sums, Float32[Array, "n k"]] | None]


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled functions of a run. All take and return device arrays; none moves data to or from the host.

    `train(state, order, phase)` compiles once for every phase of the optimizer's groups.
    """

    order: Callable[[TrainState], Int32[Array, " two_n"]]
    train: Callable[[TrainState, Int32[Array, " two_n"], int], tuple[TrainState, Sums, Diagnostics]]
    open_window: Callable[[TrainState], TrainState]
    finish_epoch: Callable[[TrainState, Sums], tuple[TrainState, Bool[Array, ""]]]
    evaluate: Evaluate
    copy: Callable[[TrainState], TrainState]


def create_program(
    train_step: Callable[..., tuple[TrainState, Sums, Diagnostics]],
    eval_step: EvalStep,
    finish_epoch: Callable[[TrainState, Sums], tuple[TrainState, Bool[Array, ""]]],
    train_split: Resident,
    *,
    num_classes: int,
    batch_size: int,
    eval_batch_size: int,
) -> Program:
    """Compile the steps for one device. `batch_size` is at most the number of training rows."""
    n = len(train_split)

    @jax.jit
    def order(state: TrainState) -> Int32[Array, " two_n"]:
        this_epoch, next_epoch = (stream_key(state.seed, "order", state.epoch + ahead) for ahead in (0, 1))
        return epoch_order(this_epoch, next_epoch, n)

    @functools.partial(jax.jit, donate_argnums=0, static_argnums=2)
    def train(
        state: TrainState, order: Int32[Array, " two_n"], phase: int, split: Resident
    ) -> tuple[TrainState, Sums, Diagnostics]:
        first = state.step * batch_size - state.epoch * n
        index = jax.lax.dynamic_slice_in_dim(order, first, batch_size)
        batch = _gather(split, index, jnp.ones(batch_size, bool))
        state, _, diagnostics = train_step(state, batch, epoch=phase)
        # The copy outlives the state, which the next step is given to overwrite.
        return state, jax.tree.map(jnp.copy, state.window_sums), diagnostics

    return Program(
        order=order,
        train=functools.partial(train, split=train_split),
        open_window=jax.jit(lambda state: state.replace(window_sums=Sums.zero()), donate_argnums=0),
        finish_epoch=jax.jit(finish_epoch, donate_argnums=0),
        evaluate=_create_evaluate(eval_step, num_classes, eval_batch_size),
        copy=jax.jit(lambda state: jax.tree.map(jnp.copy, state)),
    )


def _gather(split: Resident, index: Int32[Array, " b"], mask: Bool[Array, " b"]) -> Batch:
    targets = None if split.targets is None else split.targets[index]
    return Batch(images=split.images[index], labels=split.labels[index], mask=mask, targets=targets)


def initialize(create: Callable[..., PyTree], *arguments: PyTree) -> PyTree:
    """Compile and run what makes a first state, so that it is made on the device."""
    return jax.jit(create)(*arguments)


class _Pass(flax.struct.PyTreeNode):
    """One pass over a split, on the device: where it is, and what it has gathered."""

    start: Int32[Array, ""]
    sums: Sums
    probabilities: Float32[Array, "n_padded k"]


def _create_evaluate(eval_step: EvalStep, num_classes: int, batch_size: int) -> Evaluate:
    @functools.partial(jax.jit, donate_argnums=2)
    def evaluate_batch(variables: PyTree, split: Resident, gathered: _Pass) -> _Pass:
        index = gathered.start + jnp.arange(batch_size, dtype=jnp.int32)
        inside = jnp.minimum(index, len(split) - 1)
        batch = _gather(split, inside, index < len(split))
        sums, probabilities = eval_step(variables, batch)
        buffer = jax.lax.dynamic_update_slice_in_dim(gathered.probabilities, probabilities, gathered.start, axis=0)
        return _Pass(start=gathered.start + batch_size, sums=gathered.sums.merge(sums), probabilities=buffer)

    @functools.partial(jax.jit, static_argnums=0)
    def open_pass(batches: int) -> _Pass:
        return _Pass(
            start=jnp.zeros((), jnp.int32),
            sums=Sums.zero(),
            probabilities=jnp.zeros((batches * batch_size, num_classes), jnp.float32),
        )

    @functools.partial(jax.jit, static_argnums=1)
    def close_pass(padded: Float32[Array, "n_padded k"], rows: int) -> Float32[Array, "n k"]:
        return padded[:rows]

    def evaluate(
        variables: PyTree, split: Resident, stop: Callable[[], bool]
    ) -> tuple[Sums, Float32[Array, "n k"]] | None:
        """One pass over a split; None if `stop()` turned true on the way."""
        batches = -(-len(split) // batch_size)
        gathered = open_pass(batches)
        for _ in range(batches):
            if stop():
                return None
            gathered = evaluate_batch(variables, split, gathered)
            # Batch by batch, so that a signal needn't wait for the whole split.
            jax.block_until_ready(gathered.start)
        return gathered.sums, close_pass(gathered.probabilities, len(split))

    return evaluate
