"""The config: the keys of all rooms, by group."""

from collections.abc import Mapping
from types import MappingProxyType

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from ferjax import augment, data, losses, networks, optim, parallel, preprocess
from ferjax.config.moved import MOVED
from ferjax.config.run_keys import EVAL, TRAIN
from ferjax.keys import Key, Keys
from ferjax.networks import weights

# In the order in which docs/config.md and --help list them, each with what it is about.
GROUPS: Mapping[str, tuple[str, Keys]] = MappingProxyType(
    {
        "data": ("Which images, which labels, and how they are split.", data.KEYS),
        "input": ("How the images are prepared for the network.", preprocess.KEYS),
        "augment": ("Random changes of the training images; each one is off at 0.", augment.KEYS),
        "model": ("The network.", networks.KEYS),
        "init": ("The parameters that training starts from.", weights.KEYS),
        "loss": ("What training minimizes.", losses.KEYS),
        "optim": ("How the parameters are updated.", optim.KEYS),
        "train": ("How long a run trains, from which seed, and what it keeps.", TRAIN),
        "parallel": (
            "How a run is spread over its devices; this changes its speed, not what it computes.",
            parallel.KEYS,
        ),
        "eval": ("How a run is validated and, at its end, evaluated.", EVAL),
    }
)

# Every key by its whole name, like 'optim.learning_rate'.
KEYS: Mapping[str, Key] = MappingProxyType(
    {f"{group}.{name}": key for group, (_, keys) in GROUPS.items() for name, key in keys.items()}
)


def create_default() -> ConfigDict:
    """Make a config of which every key has its default; it takes no other keys.

    Keys of older versions are there without a value, so that a config file may still set them; `resolve` puts what
    they say in the place that they moved to.
    """
    config = ConfigDict(
        {group: {name: key.default for name, key in keys.items()} for group, (_, keys) in GROUPS.items()}
    )
    for old, moved in MOVED.items():
        group, _, name = old.partition(".")
        config[group][name] = placeholder(moved.kind)
    return config.lock()
