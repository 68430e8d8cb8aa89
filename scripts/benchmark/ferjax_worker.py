"""ferjax: its training step on a batch that lies on the device, and its network at inference."""

import functools
from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from benchmark import faces
from configs import random_init
from ferjax import augment, losses, networks, optim, preprocess, runtime
from ferjax.batch import Batch
from ferjax.state import create_state
from ferjax.step import make_train_step
from ferjax.training import flops


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Callable, Callable]:
    """`form` and `threads` say nothing here: jax takes all cores that the process may use, which the driver limits."""
    runtime.keep_memory()  # as ferjax's commands do
    model, variables = _create_model()
    if task == "inference":
        images = jnp.asarray(faces.load_batch(data, batch)[0])
        # The parameters are arguments, as in an evaluation: as constants, XLA would transform the kernels beforehand.
        predict = jax.jit(functools.partial(model.apply, train=False))
        return lambda: predict(variables, images), jax.block_until_ready
    step, state = _create_step(model, variables)
    pixels, labels = faces.load(data)
    resident = _place(pixels[:batch], labels[:batch])

    def take_step() -> Any:
        nonlocal state
        state, sums, _ = step(state, resident)
        return sums

    return take_step, jax.block_until_ready


def same_work(data: str, path: str, batch: int, steps: int, learning_rate: float) -> dict[str, Any]:
    """The losses of some steps from new parameters, which are written to `path` together with the batches."""
    model, variables = _create_model()
    pixels, labels = faces.load(data)
    rows = np.random.default_rng(0).permutation(len(pixels))[: steps * batch].reshape(steps, batch)
    named = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    arrays = {f"params/{name}": np.asarray(value) for name, value in named.items()}
    np.savez(path, pixels=pixels[rows], labels=labels[rows], **arrays)
    step, state = _create_step(model, variables, learning_rate)
    values = []
    for some in rows:
        state, sums, _ = step(state, _place(pixels[some], labels[some]))
        values.append(float(sums.loss / sums.count))
    return {"losses": values}


def peak() -> dict[str, Any]:
    """FLOPs per second of the one device that trains here, at best, and what an image asks for in a training step."""
    found = flops.find_peak("float32")
    asked = flops.count_step(_create_model()[0])
    return {"flops_per_s": found.flops_per_s, "source": found.source, "flops_per_image": asked}


def _create_model() -> tuple[Any, Any]:
    config = {key: value for key, value in random_init.get_config().model.items() if key != "pretrained"}
    model = networks.create(num_classes=faces.CLASSES, **config)
    image = jnp.zeros((1, faces.SIDE_PX, faces.SIDE_PX, model.in_channels))
    return model, jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), image)


def _create_step(model: Any, variables: Any, learning_rate: float = 1e-4) -> tuple[Callable, Any]:
    """The step without augmentation, and the state before it."""
    config = random_init.get_config()
    config.optim.learning_rate = learning_rate
    optimizer = optim.create(**config.optim, epochs=1, steps_per_epoch=1)
    train_step = make_train_step(
        model,
        optimizer,
        losses.create(**config.loss, counts=[1] * faces.CLASSES),
        augment.create(**dict.fromkeys(augment.KEYS, 0)),
        functools.partial(preprocess.preprocess, scaling="minmax", channels=model.in_channels),
    )
    state = create_state(jnp.uint32(0), variables, optimizer, num_classes=faces.CLASSES, best_metric="accuracy")
    return jax.jit(train_step, donate_argnums=0), state


def _place(pixels: np.ndarray, labels: np.ndarray) -> Batch:
    targets = jax.nn.one_hot(labels, faces.CLASSES, dtype=jnp.float32)
    return Batch(jnp.asarray(pixels[..., None]), jnp.asarray(labels), targets, jnp.ones(len(labels), bool))


COMMANDS = {"same_work": same_work, "peak": peak}
