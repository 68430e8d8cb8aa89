"""ferjax: its training step on a batch that lies on the device, and its network at inference."""

from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ferjax import runtime
from ferjax.batch import Batch
from ferjax.config import load_config
from ferjax.networks.ready import Folded, Ready, apply
from ferjax.state import TrainState
from ferjax.training import flops
from ferjax.training.build import Parts, Task, build
from scripts.benchmarks import faces
from scripts.benchmarks.faces import Labels, Pixels
from scripts.benchmarks.protocol import Commands, Step, Wait

# The data set is not part of the step; without class weights the counts of its classes change nothing.
_TASK = Task((faces.SIDE_PX, faces.SIDE_PX, 1), (1000,) * faces.CLASSES)


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of training on a batch in memory ('train') or of 'inference'.

    `form` and `threads` are not read here: jax takes all cores that the process may use, which the driver limits.
    """
    runtime.keep_memory()  # as ferjax's commands do
    parts = _build()
    variables = _create_variables(parts)
    if task == "inference":
        images = jnp.asarray(faces.load_batch(data, batch)[0])

        folded = Folded(parts.network, variables, (faces.SIDE_PX, faces.SIDE_PX, parts.network.in_channels))
        prepared = folded.prepare(batch)  # as a loaded network does once

        @jax.jit
        def predict(prepared: Ready, images: jax.Array) -> Any:
            return apply(parts.network, prepared, images)

        return lambda: predict(prepared, images), jax.block_until_ready
    train_step, state = _compile_step(parts, variables)
    pixels, labels = faces.load(data)
    resident = _place(pixels[:batch], labels[:batch])

    def take_step() -> Any:
        nonlocal state
        state, sums, _ = train_step(state, resident)
        return sums

    return take_step, jax.block_until_ready


def same_work(data: str, path: str, batch: int, steps: int, learning_rate: float) -> dict[str, Any]:
    """Take the losses of some steps from new parameters, which are written to `path` together with the batches."""
    parts = _build(learning_rate)
    variables = _create_variables(parts)
    pixels, labels = faces.load(data)
    rows = np.random.default_rng(0).permutation(len(pixels))[: steps * batch].reshape(steps, batch)
    named = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    arrays: dict[str, Any] = {f"params/{name}": np.asarray(value) for name, value in named.items()}
    np.savez(path, pixels=pixels[rows], labels=labels[rows], **arrays)
    train_step, state = _compile_step(parts, variables)
    values = []
    for some in rows:
        state, sums, _ = train_step(state, _place(pixels[some], labels[some]))
        values.append(float(sums.loss / sums.count))
    return {"losses": values}


def peak() -> dict[str, Any]:
    """Find the most FLOPs per second of the one device that trains here, and what an image costs in a training step."""
    found = flops.find_peak("float32")
    network = _build().network
    image_shape = (faces.SIDE_PX, faces.SIDE_PX, network.in_channels)
    return {
        "flops_per_s": found.flops_per_s,
        "source": found.source,
        "flops_per_image": flops.count_step(network, image_shape),
    }


def _build(learning_rate: float = 1e-4) -> Parts:
    # As configs/random_init.py, but without augmentation, which the peers' steps do not have either.
    config = load_config("no_augmentation", {"input.scaling": "minmax", "optim.learning_rate": learning_rate})
    return build(config, _TASK)


def _create_variables(parts: Parts) -> dict[str, PyTree]:
    variables: dict[str, PyTree] = jax.jit(parts.create_variables)(jnp.uint32(0))
    return variables


def _compile_step(parts: Parts, variables: dict[str, PyTree]) -> tuple[Callable[..., Any], TrainState]:
    """Return the step, to be compiled when it is first called, and the state before it."""
    return jax.jit(parts.train_step, donate_argnums=0), parts.create_state(jnp.uint32(0), variables)


def _place(pixels: Pixels, labels: Labels) -> Batch:
    targets = jax.nn.one_hot(labels, faces.CLASSES, dtype=jnp.float32)
    return Batch(jnp.asarray(pixels[..., None]), jnp.asarray(labels), targets, jnp.ones(len(labels), bool))


COMMANDS: Commands = {"same_work": same_work, "peak": peak}
