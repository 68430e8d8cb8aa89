"""Random changes to the batches of training, on the device.

To add one: a file like mixup.py, and a line in AUGMENTATIONS. Each has a random stream of its own, so that switching
one on, or adding one, leaves the others' draws as they were.
"""

import math
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

from ferjax.augment import affine, erasing, mixup
from ferjax.augment.shards import Shards, Transform
from ferjax.batch import Batch
from ferjax.ingredients import Ingredient, complete, join_keys
from ferjax.keys import FRACTION, Key, Keys
from ferjax.randomness import stream_key

# In the order in which they change a batch.
AUGMENTATIONS: Mapping[str, Ingredient[Transform | None]] = types.MappingProxyType(
    {
        "affine": Ingredient(affine.create, affine.KEYS),
        "erasing": Ingredient(erasing.create, erasing.KEYS),
        "mixup": Ingredient(mixup.create, mixup.KEYS),
    }
)
_OWN_KEYS: Keys = {
    "clean_fraction": Key(
        0.0,
        FRACTION,
        "share of the run, at its end, in which images are only mirrored, so that the last updates and batch norm's "
        "statistics are of images as they are",
    )
}
_STILL = {**dict.fromkeys(affine.KEYS, 0.0), "crop_fraction": 1.0}
KEYS: Keys = join_keys(*(augmentation.keys for augmentation in AUGMENTATIONS.values()), _OWN_KEYS)


# augment(seed, step, batch, axis_name=None): levels 0..255 in, float32 levels 0..255 out.
Augment: TypeAlias = Callable[..., Batch]


def create(*, steps: float = math.inf, **options: Any) -> Augment:
    """Make the augmentation of the config's group "augment": `augment(seed, step, batch, axis_name=None)`.

    `steps` is how many the run has; where `clean_fraction` is over 0, in that share of them, the last, only mirror
    images are left (He et al. 2019, Data Augmentation Revisited, arXiv 1909.09148, end their training so too).

    What is drawn is a function of seed, step and augmentation. Under a mapped `axis_name` a batch, with a shard of it
    on each device, changes in the same way as on one device. What is off is not traced at all: with everything off this
    is a cast. Options that are left out have the default that KEYS declares.
    """
    values = complete(KEYS, options)
    created = {name: augmentation.create_from(values) for name, augmentation in AUGMENTATIONS.items()}
    mirror = affine.create(**{**_STILL, "flip_prob": values["flip_prob"]})
    clean_from = math.floor(steps * (1 - values["clean_fraction"])) if values["clean_fraction"] else None

    def augment(seed: UInt32[Array, ""], step: Int32[Array, ""], batch: Batch, axis_name: str | None = None) -> Batch:
        shards = Shards(len(batch.labels), axis_name)
        batch = batch.replace(images=batch.images.astype(jnp.float32))
        if clean_from is None:
            return _change(created, batch, seed, step, shards)
        changed: Batch = jax.lax.cond(
            step < clean_from,
            lambda batch: _change(created, batch, seed, step, shards),
            lambda batch: _change({"affine": mirror}, batch, seed, step, shards),
            batch,
        )
        return changed

    return augment


def _change(
    transforms: Mapping[str, Transform | None],
    batch: Batch,
    seed: UInt32[Array, ""],
    step: Int32[Array, ""],
    shards: Shards,
) -> Batch:
    """Apply one transform after the other, each with a stream of its own; those that are off are None."""
    for name, transform in transforms.items():
        if transform is not None:
            batch = transform(stream_key(seed, f"augment/{name}", step), batch, shards)
    return batch
