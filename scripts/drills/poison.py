"""Numbers that are not finite, put into each part of a training step in turn."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ferjax.batch import Batch
from ferjax.parallel import Compiled
from ferjax.state import TrainState
from ferjax.step import make_train_step
from ferjax.training.build import Parts
from ferjax.training.hooks import Hook, Loop

STEP = 8  # behind the first epoch's checkpoint, in the middle of the second epoch

# Makes, of a run's parts, those whose steps have the fault.
Spoil = Callable[[Parts], Parts]


def _in_image(parts: Parts) -> Parts:
    def preprocess(images: Array) -> Array:
        prepared = parts.preprocess(images)
        return prepared.at[0, 0, 0, 0].set(jnp.nan)

    return _rebuild(parts, preprocess=preprocess)


def _in_label(parts: Parts) -> Parts:
    def augment(seed: Array, step: Array, batch: Batch, *, axis_name: str | None = None) -> Batch:
        changed = parts.augment(seed, step, batch, axis_name=axis_name)
        return changed.replace(targets=changed.targets.at[0, 0].set(jnp.nan))

    return _rebuild(parts, augment=augment)


def _in_loss(parts: Parts) -> Parts:
    return _rebuild(parts, loss_fn=lambda logits, targets: parts.loss_fn(logits, targets).at[0].set(jnp.nan))


def _in_gradient(parts: Parts) -> Parts:
    def loss_fn(logits: Array, targets: Array) -> Array:
        # Its value is 0, and its gradient 0 / 0.
        return parts.loss_fn(logits, targets) + jnp.sqrt(jnp.square(logits[:, 0] * 0.0))

    return _rebuild(parts, loss_fn=loss_fn)


def _rebuild(parts: Parts, **changed: Any) -> Parts:
    made = {name: getattr(parts, name) for name in ("network", "optimizer", "loss_fn", "augment", "preprocess")}
    return dataclasses.replace(parts, train_step=make_train_step(**{**made, **changed}))


def _spoil_state(state: TrainState, part: str, word: str, value: float) -> TrainState:
    """Set one number of the first array of a part whose path has a word in it."""
    done: list[Any] = []

    def spoil(path: tuple[Any, ...], leaf: Array) -> Array:
        if done or word not in jax.tree_util.keystr(path) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        done.append(path)
        return leaf.ravel().at[0].set(value).reshape(leaf.shape)

    return state.replace(**{part: jax.tree_util.tree_map_with_path(spoil, getattr(state, part))})


# What is spoilt in the state, in which array of it, and with what.
_IN_STATE: Mapping[str, tuple[str, str, float]] = MappingProxyType(
    {
        "norm statistics": ("batch_stats", "var", jnp.nan),
        "optimizer moment": ("opt_state", ".nu", jnp.nan),
        "infinite moment": ("opt_state", ".nu", jnp.inf),
        "parameter": ("params", "kernel", jnp.nan),
        "average": ("average", "kernel", jnp.nan),
    }
)
_IN_STEP: Mapping[str, Spoil] = MappingProxyType(
    {"image": _in_image, "label weight": _in_label, "loss": _in_loss, "gradient": _in_gradient}
)
# By which words the run's sentence tells each of them. What a step does not read is found by the next save or by the
# validation, whichever comes first.
SAID: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": ("The loss",),
        "label weight": ("The loss",),
        "loss": ("The loss",),
        "gradient": ("The update's norm",),
        "norm statistics": ("The batch statistics", "The validation loss"),
        "optimizer moment": ("The update's norm",),
        "infinite moment": ("The optimizer's",),
        "parameter": ("The loss",),
        "average": ("The averaged network's", "The validation loss"),
    }
)


class Poison(Hook):
    """Spoils a part of the step, or of the state, once the loop has taken STEP steps."""

    def __init__(self, place: str, compile_parts: Callable[[Parts], Compiled]) -> None:
        self._place, self._compile = place, compile_parts

    def after_dispatch(self, loop: Loop) -> None:
        if loop.step != STEP:
            return
        if self._place in _IN_STEP:
            loop.compiled = self._compile(_IN_STEP[self._place](loop.parts))
        else:
            part, word, value = _IN_STATE[self._place]
            loop.state = jax.jit(functools.partial(_spoil_state, part=part, word=word, value=value))(loop.state)
