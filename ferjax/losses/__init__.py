"""Losses of each example, taken from logits and a distribution over the classes.

To add one: a file like focal.py, and a line in LOSSES.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from ferjax.ingredients import Ingredient, complete, join_keys
from ferjax.keys import Choice, Key, Keys, Range
from ferjax.losses import class_weights, cross_entropy, focal

LossFn: TypeAlias = Callable[[Float[Array, "b k"], Float32[Array, "b k"]], Float32[Array, " b"]]

LOSSES: Mapping[str, Ingredient[LossFn]] = types.MappingProxyType(
    {
        "cross_entropy": Ingredient(cross_entropy.create),
        "focal": Ingredient(focal.create, focal.KEYS),
    }
)
_KEYS: Keys = {
    "name": Key(
        "cross_entropy",
        Choice(tuple(LOSSES)),
        "which loss is minimized; 'focal' gives less weight to images that are already answered well",
    ),
    "label_smoothing": Key(0.0, Range(0, 0.9), "share of each target that is spread evenly over all classes; 0 is off"),
}
KEYS: Keys = join_keys(_KEYS, class_weights.KEYS, *(loss.keys for loss in LOSSES.values()))


def create(*, counts: Sequence[int] | Int[np.ndarray, " k"], **options: Any) -> LossFn:
    """Make the loss of the config's group "loss": `loss_fn(logits, targets)`, one float32 value for each example.

    `targets` are each example's distribution over the classes; a one-hot one means its class. Logits may have any
    floating dtype. `counts` are the training examples of each class, which balanced class weights are made from.
    `label_smoothing` is the mass spread evenly over all classes (Szegedy et al. 2016, arXiv 1512.00567). Class weights
    multiply an example's loss by the weight of its class, as Keras's `class_weight` does, or by the mean weight under
    its soft target; a mean over examples is then still a mean over their number. Options that are left out have the
    default that KEYS declares.

    Raises ValueError for an unknown name and for class weights that cannot be read.
    """
    values = complete(KEYS, options)
    if values["name"] not in LOSSES:
        raise ValueError(f"loss.name must be {KEYS['name'].legal}, and is {values['name']!r}.")
    loss = LOSSES[values["name"]].create_from(values)
    label_smoothing: float = values["label_smoothing"]
    parsed = class_weights.parse(values["class_weights"], counts)
    weights = None if parsed is None else np.asarray(parsed, np.float32)

    def loss_fn(logits: Float[Array, "b k"], targets: Float32[Array, "b k"]) -> Float32[Array, " b"]:
        smoothed = targets * (1.0 - label_smoothing) + label_smoothing / logits.shape[-1]
        values = loss(logits.astype(jnp.float32), smoothed)
        return values if weights is None else values * (targets * weights).sum(axis=-1)

    return loss_fn
