"""What a config may say: the legal range of every key, and the comparison of two configs."""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax import models, preprocess
from ferjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, whole ones if `whole`; an `open` range leaves `low` itself out."""

    low: int | float
    high: int | float = math.inf
    open: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return math.isfinite(value) and (value > self.low if self.open else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{'>' if self.open else '>='} {self.low}"
        return f"{self.low}..{self.high}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return ", ".join(f"'{word}'" for word in self.words[:-1]) + f" or '{self.words[-1]}'"


@dataclasses.dataclass(frozen=True)
class Each:
    """A tuple of members of a range."""

    member: Range

    def __contains__(self, value: object) -> bool:
        return isinstance(value, tuple | list) and all(item in self.member for item in value)

    def __str__(self) -> str:
        return f"a tuple of numbers, each {self.member}"


@dataclasses.dataclass(frozen=True)
class Anything:
    """Any value of a kind; whoever reads it says what else is wrong with it."""

    kind: type = object

    def __contains__(self, value: object) -> bool:
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return {str: "text", bool: "True or False"}.get(self.kind, "anything")


_FRACTION, _NOT_NEGATIVE, _POSITIVE = Range(0, 1), Range(0), Range(0, open=True)
_COUNT, _SIZE, _SEED = Range(0, whole=True), Range(1, whole=True), Range(0, 2**32 - 1, whole=True)
_TEXT, _FLAG = Anything(str), Anything(bool)
_METRIC = Choice(("accuracy", "loss"))

# Every key of configs/default.py; a test holds the two together.
LEGAL: Mapping[str, Range | Choice | Each | Anything] = {
    "data.path": _TEXT,
    "data.split": Choice(("official", "stratified")),
    "data.split_seed": _COUNT,
    "data.on_bad_row": Choice(("error", "skip")),
    "data.dedup": Choice(("none", "exact", "near")),
    "data.labels": Choice(("fer2013", "ferplus_majority", "ferplus_distribution")),
    "data.ferplus_path": _TEXT,
    "data.normalize": _FLAG,
    "data.scaling": Choice(preprocess.SCALINGS),
    "data.synthetic_rows": Range(70, whole=True),
    "augment.flip_prob": _FRACTION,
    "augment.rotation_deg": Range(0, 180),
    "augment.shift_fraction": _FRACTION,
    "augment.zoom_fraction": Range(0, 0.9),
    "augment.shear_deg": Range(0, 80),
    "augment.erase_prob": _FRACTION,
    "augment.erase_px": Range(1, 48, whole=True),
    "model.name": Choice(models.NAMES),
    "model.pool": Choice(("max", "mean", "both")),
    "model.hidden": Each(_SIZE),
    "model.dropout": Range(0, 0.95),
    "model.width": Range(0.02, 8),
    "model.pretrained": _TEXT,
    "model.dtype": Choice(("float32", "bfloat16")),
    "model.exact_convolution": _FLAG,
    "loss.name": Choice(("cross_entropy", "focal")),
    "loss.gamma": Range(0, 20),
    "loss.alpha": _FRACTION,
    "loss.label_smoothing": Range(0, 0.9),
    "loss.class_weights": _TEXT,
    "optim.learning_rate": _POSITIVE,
    "optim.b1": Range(0, 0.9999),
    "optim.b2": Range(0, 0.999999),
    "optim.eps": _POSITIVE,
    "optim.weight_decay": _NOT_NEGATIVE,
    "optim.clip_norm": _NOT_NEGATIVE,
    "optim.groups": Anything(),
    "optim.schedule": Choice(("constant", "cosine", "onecycle")),
    "optim.warmup_epochs": _NOT_NEGATIVE,
    "optim.plateau_metric": _METRIC,
    "optim.plateau_patience_epochs": _COUNT,
    "optim.plateau_factor": Range(0.01, 0.99),
    "optim.plateau_min_delta": _NOT_NEGATIVE,
    "optim.plateau_min_learning_rate": _NOT_NEGATIVE,
    "train.batch_size": _SIZE,
    "train.epochs": _SIZE,
    "train.steps": _COUNT,
    "train.seed": _SEED,
    "train.seeds": Each(_SEED),
    "train.best_metric": _METRIC,
    "train.early_stop_patience_epochs": _COUNT,
    "train.checkpoint_interval_s": _POSITIVE,
    "train.log_every_steps": _SIZE,
    "parallel.mode": Choice(("mesh", "pmap")),
    "parallel.devices": _COUNT,
    "parallel.seeds": Choice(("auto", "together", "in_turn")),
    "parallel.steps_per_dispatch": _COUNT,
    "eval.batch_size": _SIZE,
    "eval.split": Choice(("auto", "validation", "test")),
    "eval.mirror": _FLAG,
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

# What a checkpoint's place in the data and its random streams depend on; a run can't go on with another one.
FIXED_KEYS = (
    "data.split",
    "data.split_seed",
    "data.dedup",
    "data.labels",
    "data.synthetic_rows",
    "train.batch_size",
    "train.seed",
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
