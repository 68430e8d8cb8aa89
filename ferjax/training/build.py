"""The one door from a config to the parts of a run: network, loss, optimizer, augmentation, steps.

Nothing here needs data, devices or folders: training, the search, the benchmarks and the tests all come through it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, UInt32
from ml_collections import ConfigDict

from ferjax import augment, losses, networks, optim
from ferjax.data import Rows, Splits
from ferjax.errors import UserError
from ferjax.networks import Classifier
from ferjax.preprocess import preprocess
from ferjax.randomness import stream_key
from ferjax.runtime import has_fast_bfloat16
from ferjax.state import TrainState, create_state
from ferjax.step import make_eval_step, make_finish_epoch, make_train_step


@dataclasses.dataclass(frozen=True)
class Task:
    """What the parts of a run must know of its data: (height, width, channels) of an image, training rows per class."""

    image_shape: tuple[int, int, int]
    counts: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        return len(self.counts)

    @property
    def rows(self) -> int:
        """The number of training rows."""
        return sum(self.counts)


def describe_task(rows: Rows, splits: Splits) -> Task:
    """Return what the parts must know of these rows."""
    height, width, channels = rows.images.shape[1:]
    counts = np.bincount(rows.labels[splits["train"]], minlength=len(rows.classes))
    return Task((height, width, channels), tuple(counts.tolist()))


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts that a config names, for a task. The steps are pure functions of ferjax.step; none is compiled yet.

    `eval_step` is for validation; `final_eval_step` averages over the views of `eval.views`. `train_dtype` is the
    number type of `train_step`; `network` is that of evaluation.
    """

    config: ConfigDict
    task: Task
    network: Classifier
    train_dtype: str
    optimizer: optim.Optimizer
    loss_fn: losses.LossFn
    augment: augment.Augment
    preprocess: Callable[[Array], Array]
    train_step: Callable[..., Any]
    eval_step: Callable[..., Any]
    final_eval_step: Callable[..., Any]
    finish_epoch: Callable[..., Any]

    def create_variables(self, seed: UInt32[Array, ""]) -> dict[str, PyTree]:
        """Draw the variables {'params', 'batch_stats'} of a seed."""
        key = stream_key(seed, "parameters", jnp.zeros((), jnp.int32))
        image = jnp.zeros((1, *self.task.image_shape[:2], self.network.in_channels))
        variables = self.network.init(key, image)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def create_state(self, seed: UInt32[Array, ""], variables: dict[str, PyTree]) -> TrainState:
        """Make the state before the first step."""
        return create_state(
            seed,
            variables,
            self.optimizer,
            num_classes=self.task.num_classes,
            best_metric=self.config.train.best_metric,
        )

    @functools.cached_property
    def shapes(self) -> PyTree:
        """The shapes of the parameters."""
        return jax.eval_shape(self.create_variables, jnp.zeros((), jnp.uint32))["params"]


def build(config: ConfigDict, task: Task) -> Parts:
    """Make the parts that a checked config names; raises UserError where the task does not allow one of them."""
    size, rows = config.train.batch_size, task.rows
    if size > rows:
        raise UserError(
            f"train.batch_size={size} is more than the {rows} training rows of {config.data.path}: choose {rows} or "
            "less."
        )
    try:
        network = networks.create(num_classes=task.num_classes, **config.model)
        optimizer = optim.create(**config.optim, epochs=config.train.epochs, steps_per_epoch=rows / size)
        loss_fn = losses.create(counts=task.counts, **config.loss)
        change = augment.create(**config.augment)
        trained = network.clone(dtype=jnp.dtype(_choose_dtype(config.model.dtype)))
        prepare, prepare_trained = (
            functools.partial(preprocess, scaling=config.input.scaling, channels=network.in_channels, dtype=each.dtype)
            for each in (network, trained)
        )
        eval_step = make_eval_step(network, loss_fn, prepare)
        views = config.eval.views
        parts = Parts(
            config=config,
            task=task,
            network=network,
            train_dtype=jnp.dtype(trained.dtype).name,
            optimizer=optimizer,
            loss_fn=loss_fn,
            augment=change,
            preprocess=prepare,
            train_step=make_train_step(trained, optimizer, loss_fn, change, prepare_trained),
            eval_step=eval_step,
            final_eval_step=eval_step if views == "none" else make_eval_step(network, loss_fn, prepare, views),
            finish_epoch=make_finish_epoch(optimizer, config.train.best_metric, keep_last=config.eval.epoch == "last"),
        )
        # Shapes alone say whether the network takes such images, and whether optim.groups covers its parameters.
        optimizer.groups.split(parts.shapes, 0)
    except ValueError as error:
        raise UserError(str(error)) from error
    return parts


def _choose_dtype(dtype: str) -> str:
    """Return the number type of training steps."""
    if dtype == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return dtype
