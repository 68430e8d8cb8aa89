"""Networks by name: each family is a file, which also says what its published weights look like.

A new network is a file with a `NETWORKS` of its own and one line in the table here.
"""

import types
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ferjax.ingredients import complete, join_keys
from ferjax.keys import FLAG, SIZE, Choice, Each, Key, Keys, Range
from ferjax.networks import compact, resnet, vgg
from ferjax.networks.base import Classifier, Context, Entry

NETWORKS: Mapping[str, Entry] = types.MappingProxyType(
    {
        **vgg.NETWORKS,
        **compact.NETWORKS,
        **resnet.NETWORKS,
    }
)

# What every network is made from; a network may have keys of its own beside these.
COMMON_KEYS: Keys = types.MappingProxyType(
    {
        "pool": Key(
            "max",
            Choice(("max", "mean", "both")),
            "how the last convolution's output becomes one number for each channel: its largest pixel "
            "('max'), the mean of its pixels ('mean'), or 'both', one after the other; with one pixel left, "
            "as in VGG at 48 px, the first two are equal",
        ),
        "hidden": Key((), Each(SIZE), "sizes of the dense layers before the output layer; () is none"),
        "dropout": Key(0.0, Range(0, 0.95), "chance that a number before a dense layer is set to 0, in training"),
        "width": Key(1.0, Range(0.02, 8), "factor on the number of channels of every convolution"),
        "dtype": Key(
            "float32",
            Choice(("float32", "bfloat16", "auto")),
            "number type of the network's computation; parameters stay float32. 'auto' trains in bfloat16 where the "
            "devices multiply it faster, and evaluates and predicts in float32",
        ),
        "exact_convolution": Key(
            False,
            FLAG,
            "True does without Winograd's convolution and its rounding error of about 1e-5 on CPU, which is "
            "slower; elsewhere it changes nothing",
        ),
    }
)


def merge_keys(entries: Mapping[str, Entry]) -> Keys:
    """Return the keys of group 'model' for these networks: the name, the common keys, and those of single networks.

    Raises ValueError where two declare one key differently.
    """
    name = Key("vgg19", Choice(tuple(entries)), "which network; names that end in _bn have batch norm")
    return join_keys({"name": name}, COMMON_KEYS, *(entry.keys for entry in entries.values()))


KEYS: Keys = merge_keys(NETWORKS)


def create(*, name: str, num_classes: int, **options: Any) -> Classifier:
    """Make the network `name`, one of NETWORKS, with one output per class.

    `options` are values of KEYS by name. One that is left out has the default of its declaration, and one that belongs
    to another network is not read. With dtype='auto' the network is that of evaluation, in float32. Raises TypeError
    for an option that no network declares.
    """
    values = complete(KEYS, options)
    entry = NETWORKS[name]
    fields = {key: values[key] for key in (*COMMON_KEYS, *entry.keys)}
    dtype = "float32" if fields["dtype"] == "auto" else fields["dtype"]
    fields |= {"hidden": tuple(fields["hidden"]), "dtype": jnp.dtype(dtype)}
    return entry.create(num_classes=num_classes, **fields)


__all__ = ["COMMON_KEYS", "KEYS", "NETWORKS", "Classifier", "Context", "Entry", "create", "merge_keys"]
