"""What a config may say: the legal range of every key, and the comparison of two configs."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax import networks, preprocess
from ferjax.config.keys import (
    COUNT,
    FLAG,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SIZE,
    TEXT,
    Anything,
    Choice,
    Each,
    Range,
)
from ferjax.errors import UserError
from ferjax.scores import SCORES

_METRIC = Choice(tuple(SCORES))

# Every key of configs/default.py; a test holds the two together.
LEGAL: Mapping[str, Range | Choice | Each | Anything] = {
    "data.path": TEXT,
    "data.split": Choice(("official", "stratified")),
    "data.split_seed": COUNT,
    "data.on_bad_row": Choice(("error", "skip")),
    "data.dedup": Choice(("none", "exact", "near")),
    "data.labels": Choice(("fer2013", "ferplus_majority", "ferplus_distribution")),
    "data.ferplus_path": TEXT,
    "data.normalize": FLAG,
    "data.scaling": Choice(preprocess.SCALINGS),
    "data.synthetic_rows": Range(70, whole=True),
    "augment.flip_prob": FRACTION,
    "augment.rotation_deg": Range(0, 180),
    "augment.shift_fraction": FRACTION,
    "augment.zoom_fraction": Range(0, 0.9),
    "augment.shear_deg": Range(0, 80),
    "augment.erase_prob": FRACTION,
    "augment.erase_px": SIZE,
    "augment.mixup_alpha": NOT_NEGATIVE,
    "model.name": Choice(networks.NAMES),
    "model.pool": Choice(("max", "mean", "both")),
    "model.hidden": Each(SIZE),
    "model.dropout": Range(0, 0.95),
    "model.width": Range(0.02, 8),
    "model.pretrained": TEXT,
    "model.dtype": Choice(("float32", "bfloat16")),
    "model.exact_convolution": FLAG,
    "loss.name": Choice(("cross_entropy", "focal")),
    "loss.gamma": Range(0, 20),
    "loss.alpha": FRACTION,
    "loss.label_smoothing": Range(0, 0.9),
    "loss.class_weights": TEXT,
    "optim.name": Choice(("adam", "sgd")),
    "optim.learning_rate": POSITIVE,
    "optim.b1": Range(0, 0.9999),
    "optim.b2": Range(0, 0.999999),
    "optim.eps": POSITIVE,
    "optim.momentum": Range(0, 0.9999),
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.clip_norm": NOT_NEGATIVE,
    "optim.groups": Anything(),
    "optim.schedule": Choice(("constant", "cosine", "onecycle")),
    "optim.warmup_epochs": NOT_NEGATIVE,
    "optim.plateau_metric": _METRIC,
    "optim.plateau_patience_epochs": COUNT,
    "optim.plateau_factor": Range(0.01, 0.99),
    "optim.plateau_min_delta": NOT_NEGATIVE,
    "optim.plateau_min_learning_rate": NOT_NEGATIVE,
    "optim.average_decay": Range(0, 0.99999),
    "train.batch_size": SIZE,
    "train.epochs": SIZE,
    "train.steps": COUNT,
    "train.seed": SEED,
    "train.seeds": Each(SEED),
    "train.best_metric": _METRIC,
    "train.early_stop_patience_epochs": COUNT,
    "train.checkpoint_interval_s": POSITIVE,
    "train.log_every_steps": SIZE,
    "parallel.mode": Choice(("mesh", "pmap")),
    "parallel.devices": COUNT,
    "parallel.seeds": Choice(("auto", "together", "in_turn")),
    "parallel.steps_per_dispatch": COUNT,
    "eval.batch_size": SIZE,
    "eval.split": Choice(("auto", "validation", "test")),
    "eval.mirror": FLAG,
}

# What may differ between two starts in one workdir: nothing of it changes what is trained. A data set is compared by
# its content instead of its path.
FREE_KEYS = (
    "data.path",
    "data.ferplus_path",
    "train.steps",
    "train.checkpoint_interval_s",
    "train.log_every_steps",
    "train.seeds",
    "parallel.mode",
    "parallel.devices",
    "parallel.seeds",
    "parallel.steps_per_dispatch",
    "eval.split",
)

# What a checkpoint's place in the data, its random streams and what it has gathered depend on; a run cannot go on with
# another one.
FIXED_KEYS = (
    "data.split",
    "data.split_seed",
    "data.dedup",
    "data.labels",
    "data.synthetic_rows",
    "train.batch_size",
    "train.seed",
    # The best epoch so far and the plateau were found by these.
    "train.best_metric",
    "optim.plateau_metric",
)


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every ('group.key', value) of a nested config; tuples come as lists, as JSON has them."""
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


class KeyMistake(Exception):  # noqa: N818 - a mistake in what was asked, not in the program
    """A config key that ferjax does not read, or one that a config lacks."""


def check_overrides(keys: Iterable[str]) -> None:
    """Raise KeyMistake, with the nearest known key, for one that ferjax does not read."""
    for key in keys:
        if key not in LEGAL:
            nearest = difflib.get_close_matches(key, LEGAL, n=1, cutoff=0)[0]
            raise KeyMistake(f"there is no config key {key}; did you mean {nearest}?")


def check_keys(config: ConfigDict) -> None:
    """Raise KeyMistake for a config with a key that ferjax does not read, or without one that it does."""
    keys = {key for key, _ in flatten(config)}
    check_overrides(sorted(keys))
    if missing := sorted(set(LEGAL) - keys):
        raise KeyMistake(f"the config lacks {', '.join(missing)}: start from configs/default.py, change what differs.")


def validate(config: ConfigDict) -> None:
    """Raise UserError for the first value out of its range."""
    for key, value in flatten(config):
        if value not in LEGAL[key]:
            raise UserError(f"--config.{key}={value!r} is out of range: it must be {LEGAL[key]}.")


def find_differences(saved: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """'key: saved -> now' of every key whose value differs and is not free to."""
    old, new = dict(flatten(saved)), dict(flatten(config))
    return {
        key: f"{key}: {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if key not in FREE_KEYS and old.get(key) != new.get(key)
    }
