"""Networks by name: each family is a file, which also says what its published weights look like.

A new network is a file with a `NETWORKS` of its own and one line in the table here.
"""

import types
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ferjax.config.keys import FLAG, SIZE, Choice, Each, Key, Keys, Range
from ferjax.networks import compact, vgg
from ferjax.networks.base import Classifier, Context, Entry

NETWORKS: Mapping[str, Entry] = types.MappingProxyType(
    {
        **vgg.NETWORKS,
        **compact.NETWORKS,
    }
)

# What every network is made from; a network may have keys of its own beside these.
COMMON_KEYS: Keys = types.MappingProxyType(
    {
        "pool": Key(
            "max",
            Choice(("max", "mean", "both")),
            "the global pool before the dense layers; 'both' concatenates the two; after one pixel, all are the same",
        ),
        "hidden": Key((), Each(SIZE), "sizes of dense layers before the output layer"),
        "dropout": Key(0.0, Range(0, 0.95), "chance of dropping each number before each dense layer"),
        "width": Key(1.0, Range(0.02, 8), "multiplies every convolution's channels"),
        "dtype": Key("float32", Choice(("float32", "bfloat16")), "type of the computation; parameters stay float32"),
        "exact_convolution": Key(
            False, FLAG, "True: plain convolutions without Winograd's rounding (1e-5), slower on CPU"
        ),
    }
)


def merge_keys(entries: Mapping[str, Entry]) -> Keys:
    """Return the keys of group 'model' for these networks: the name, the common keys, and those of single networks.

    Raises ValueError where two declare one key differently.
    """
    keys = {"name": Key("vgg19", Choice(tuple(entries)), "the network"), **COMMON_KEYS}
    for name, entry in entries.items():
        for key, declared in entry.keys.items():
            if keys.setdefault(key, declared) != declared:
                raise ValueError(f"The network {name} declares the key {key}, which is declared differently before.")
    return types.MappingProxyType(keys)


KEYS: Keys = merge_keys(NETWORKS)


def create(*, name: str, num_classes: int, **options: Any) -> Classifier:
    """Make the network `name`, one of NETWORKS, with one output per class.

    `options` are values of KEYS by name. One that is left out has the default of its declaration, and one that belongs
    to another network is not read. Raises TypeError for an option that no network declares.
    """
    if unknown := options.keys() - KEYS.keys():
        raise TypeError(f"No network has the option {', '.join(sorted(unknown))}: the options are {', '.join(KEYS)}.")
    entry = NETWORKS[name]
    fields = {key: options.get(key, declared.default) for key, declared in {**COMMON_KEYS, **entry.keys}.items()}
    fields |= {"hidden": tuple(fields["hidden"]), "dtype": jnp.dtype(fields["dtype"])}
    return entry.create(num_classes=num_classes, **fields)


__all__ = ["COMMON_KEYS", "KEYS", "NETWORKS", "Classifier", "Context", "Entry", "create", "merge_keys"]
