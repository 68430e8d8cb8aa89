"""What a search varies: the texts of `--space` as typed values and intervals, their points, and how these are named."""

import dataclasses
import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from ferjax.config import KeyMistake, check_overrides, flatten, parse_value, validate
from ferjax.config.moved import MOVED
from ferjax.scores import SCORES

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = bool | int | float | str
Point = dict[str, Value]  # a value of every searched key


@dataclasses.dataclass(frozen=True)
class Listed:
    """Some values, in the order in which a grid tries them."""

    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True)
class Interval:
    """Stand for every number from `low` to `high`, drawn evenly, or with `log` evenly on a logarithmic scale."""

    low: int | float
    high: int | float
    log: bool


Space = Mapping[str, Listed | Interval]


def parse_space(texts: Sequence[str], config: ConfigDict, sampler: str) -> Space:
    """Read 'key=value,value', 'key=low..high' and 'key=log:low..high', typed as the config types the key.

    Raises KeyMistake for a key or a text that cannot be used, UserError for a value out of the key's legal range.
    """
    if not texts:
        raise KeyMistake("--space is missing: for example --space optim.learning_rate=1e-3,1e-4,1e-5.")
    space: dict[str, Listed | Interval] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals:
            raise KeyMistake(f"--space {text} has no '=': write --space key=value,value.")
        check_overrides([key])
        key = _find_current_name(key)
        if key in space:
            raise KeyMistake(f"--space names {key} twice: give all of its values in one.")
        space[key] = _parse_dimension(key, values, dict(flatten(config))[key])
        if sampler == "grid" and isinstance(space[key], Interval):
            raise KeyMistake(f"--space {text} is an interval, of which a grid has no points: list values, or use "
                             "--sampler=tpe.")  # fmt: skip
    _check_comparable(space, config)
    for key, dimension in space.items():
        ends = dimension.values if isinstance(dimension, Listed) else (dimension.low, dimension.high)
        for value in ends:
            validate(apply_point(config, {key: value}))
    return space


def _find_current_name(key: str) -> str:
    """Return today's name of a key; raises KeyMistake where the values have other names too."""
    if key not in MOVED:
        return key
    if MOVED[key].values is not None:
        raise KeyMistake(f"--space {key} is {MOVED[key].now} now, and its values have other names: name that one.")
    return MOVED[key].now


def _check_comparable(space: Space, config: ConfigDict) -> None:
    """Raise KeyMistake for a key that changes what the trials are compared by."""
    for key in space:
        other_rows = key.startswith("data.") and key != "data.dedup"
        if other_rows or key.startswith("eval.") or key == "train.best_metric":
            raise KeyMistake(f"--space {key} would change the score that the trials are compared by: leave it out.")
        if key.startswith("loss.") and SCORES[config.train.best_metric].of_loss_function:
            raise KeyMistake(
                f"--space {key} changes the loss that the trials are compared by: use "
                "--config.train.best_metric=accuracy."
            )


def _parse_dimension(key: str, text: str, default: Any) -> Listed | Interval:
    if not isinstance(default, Value):
        raise KeyMistake(f"--space {key} is a tuple, and a search varies only numbers, words and true or false.")
    interval = re.fullmatch(r"(log:)?([^,]+?)\.\.([^,]+)", text)
    if interval and isinstance(default, int | float) and not isinstance(default, bool):
        log = interval[1] is not None
        low, high = (_parse_value(key, part) for part in interval.groups()[1:])
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        if not low < high:
            raise KeyMistake(f"--space {key}={text} is empty: the first number must be the lower one.")
        if log and low <= 0:
            raise KeyMistake(f"--space {key}={text} has no logarithm at {low}: begin above 0, or leave out 'log:'.")
        return Interval(low, high, log)
    values = tuple(_parse_value(key, part) for part in text.split(","))
    for value in values:
        if values.count(value) > 1:
            raise KeyMistake(f"--space {key}={text} has {value} twice.")
    return Listed(values)


def _parse_value(key: str, text: str) -> Value:
    """Read a value of the key's kind."""
    try:
        value: Value = parse_value(key, text)
    except KeyMistake as mistake:
        raise KeyMistake(f"--space {mistake}") from None
    return value


def apply_point(config: ConfigDict, point: Mapping[str, Value]) -> ConfigDict:
    """Copy the config with the values of the point."""
    changed = config.copy_and_resolve_references()
    changed.update_from_flattened_dict(dict(point))
    return changed


def grid_points(space: Space) -> Iterator[Point]:
    """Yield every combination of the listed values; that of the last key changes fastest."""
    listed = [dimension.values for dimension in space.values() if isinstance(dimension, Listed)]
    for values in itertools.product(*listed):
        yield dict(zip(space, values, strict=True))


def grid_size(space: Space) -> int:
    """Count the points that `grid_points` yields."""
    return math.prod(len(dimension.values) for dimension in space.values() if isinstance(dimension, Listed))


def create_distributions(space: Space) -> "dict[str, BaseDistribution]":
    """Express the space in Optuna's distributions."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    distributions: dict[str, BaseDistribution] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Listed):
            distributions[key] = CategoricalDistribution(dimension.values)
        elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
            distributions[key] = IntDistribution(dimension.low, dimension.high, log=dimension.log)
        else:
            distributions[key] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return distributions


def describe_space(space: Space) -> dict[str, str]:
    """Say what each key may be, as --space has it."""
    texts = {}
    for key, dimension in space.items():
        if isinstance(dimension, Listed):
            texts[key] = ",".join(map(str, dimension.values))
        else:
            texts[key] = f"{'log:' if dimension.log else ''}{dimension.low}..{dimension.high}"
    return texts


def name_keys(keys: Iterable[str]) -> dict[str, str]:
    """Name every key by its last part where that tells the keys apart, else by the whole key."""
    keys = list(keys)
    last = [key.rpartition(".")[2] for key in keys]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}


def format_point(point: Mapping[str, Value]) -> str:
    """Write a point as 'learning_rate=0.001 batch_size=32'."""
    return " ".join(f"{name}={point[key]}" for key, name in name_keys(point).items())


def name_folder(point: Mapping[str, Value]) -> str:
    """Name the folder of a point, unlike every other point's; readable, and plain for every shell and file system."""
    full = ",".join(f"{name}={point[key]!r}" for key, name in name_keys(point).items())
    text = ",".join(f"{name}={point[key]}" for key, name in name_keys(point).items())
    plain = re.sub(r"[^\w.,=+-]", "-", text, flags=re.ASCII)[:100]
    return plain if plain == text else f"{plain}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
