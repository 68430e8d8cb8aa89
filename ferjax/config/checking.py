"""The check of a config, before data is read: every key is known, and every value is in its range."""

import math
from collections.abc import Iterable

from ml_collections import ConfigDict

from ferjax.config.comparing import flatten
from ferjax.config.groups import KEYS
from ferjax.config.moved import MOVED, resolve
from ferjax.documents.words import suggest
from ferjax.errors import UserError
from ferjax.keys import Each, Range
from ferjax.optim import groups


class KeyMistake(Exception):  # noqa: N818 - a mistake in what was asked, not in the program
    """A config key that ferjax does not read, or one that a config lacks."""


def check_overrides(keys: Iterable[str]) -> None:
    """Raise KeyMistake, with the nearest known key if one is near, for one that ferjax does not read."""
    for key in keys:
        if key not in KEYS and key not in MOVED:
            known = _suggest(key)
            raise KeyMistake(f"there is no config key {key}; {known}")


def _suggest(key: str) -> str:
    """Name a near key of the same group, whose name would else count as alike, or one of this name in another."""
    group, _, name = key.partition(".")
    elsewhere = [each for each in KEYS if each.endswith(f".{name}")]
    otherwise = f"did you mean {elsewhere[0]}?" if elsewhere else "'ferjax configs --keys' lists all."
    own = [each.removeprefix(f"{group}.") for each in KEYS if each.startswith(f"{group}.")]
    return suggest(name, own, otherwise, prefix=f"{group}.") if own else suggest(key, KEYS, otherwise)


def check(config: ConfigDict) -> ConfigDict:
    """Return the config with old names put in the new ones' place, checked as `check_keys` and `validate` do it."""
    config = resolve(config)
    check_keys(config)
    validate(config)
    return config


def check_keys(config: ConfigDict) -> None:
    """Raise KeyMistake for a config with a key that ferjax does not read, or without one that it does."""
    keys = {key for key, _ in flatten(config)}
    check_overrides(sorted(keys))
    if missing := sorted(set(KEYS) - keys):
        raise KeyMistake(f"the config lacks {', '.join(missing)}: start from configs/default.py, change what differs.")


def _name_end(legal: object, value: object) -> str:
    """Return the end of a range that has none of its own, where a value is beyond it."""
    if isinstance(legal, Each):
        members = value if isinstance(value, tuple | list) else ()
        return next((said for member in members if (said := _name_end(legal.member, member))), "")
    beyond = isinstance(legal, Range) and isinstance(value, int | float) and legal.most < value < math.inf
    return f", and at most {legal.most:.10g}" if isinstance(legal, Range) and beyond and legal.high == math.inf else ""


def validate(config: ConfigDict) -> None:
    """Raise UserError for the first value out of its range, and for optim.groups that cannot be read.

    The config has all keys of this version and no others, as after `check_keys`.
    """
    for key, value in flatten(config):
        if value not in (legal := KEYS[key].legal):
            raise UserError(f"{key}={value!r} is out of range: it must be {legal}{_name_end(legal, value)}.")
    try:
        groups.parse(config.optim.groups)
    except ValueError as error:
        raise UserError(str(error)) from error
