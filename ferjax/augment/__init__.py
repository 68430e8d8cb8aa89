"""Random changes to the batches of training, on the device.

To add one: a file like mixup.py, and a line in AUGMENTATIONS. Each has a random stream of its own, so that switching
one on, or adding one, leaves the others' draws as they were.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

from ferjax.augment import affine, erasing, mixup
from ferjax.augment.shards import Shards, Transform
from ferjax.batch import Batch
from ferjax.ingredients import Ingredient, complete, join_keys
from ferjax.keys import Keys
from ferjax.randomness import stream_key

# In the order in which they change a batch.
AUGMENTATIONS: Mapping[str, Ingredient[Transform | None]] = types.MappingProxyType(
    {
        "affine": Ingredient(affine.create, affine.KEYS),
        "erasing": Ingredient(erasing.create, erasing.KEYS),
        "mixup": Ingredient(mixup.create, mixup.KEYS),
    }
)
KEYS: Keys = join_keys(*(augmentation.keys for augmentation in AUGMENTATIONS.values()))


# augment(seed, step, batch, axis_name=None): levels 0..255 in, float32 levels 0..255 out.
Augment: TypeAlias = Callable[..., Batch]


def create(**options: Any) -> Augment:
    """Make the augmentation of the config's group "augment": `augment(seed, step, batch, axis_name=None)`.

    What is drawn is a function of seed, step and augmentation. Under a mapped `axis_name` a batch, with a shard of it
    on each device, changes in the same way as on one device. What is off is not traced at all: with everything off this
    is a cast. Options that are left out have the default that KEYS declares.
    """
    values = complete(KEYS, options)
    created = {name: augmentation.create_from(values) for name, augmentation in AUGMENTATIONS.items()}
    transforms = {name: transform for name, transform in created.items() if transform is not None}

    def augment(seed: UInt32[Array, ""], step: Int32[Array, ""], batch: Batch, axis_name: str | None = None) -> Batch:
        shards = Shards(len(batch.labels), axis_name)
        batch = batch.replace(images=batch.images.astype(jnp.float32))
        for name, transform in transforms.items():
            batch = transform(stream_key(seed, f"augment/{name}", step), batch, shards)
        return batch

    return augment
