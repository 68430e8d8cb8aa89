"""Values as a person types them, read as what their key holds."""

import ast
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.config.checking import KeyMistake, check_keys, check_overrides
from ferjax.config.groups import KEYS
from ferjax.config.moved import MOVED, resolve

_WORDS = {"true": True, "false": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a tuple, such as (1, 2)"}


def find_kind(key: str) -> type:
    """Return the type of a key's values, of today's name or an old one; raises KeyMistake for an unknown key."""
    check_overrides([key])
    return MOVED[key].kind if key in MOVED else type(KEYS[key].default)


def parse_value(key: str, text: str) -> Any:
    """Read `text` as the kind of value that a config key has; raises KeyMistake where it is none.

    Numbers and words are as they stand, true and false in any case; a tuple is a Python literal, '(1, 2)', or items
    between commas, '1,2'.
    """
    kind, text = find_kind(key), text.strip()
    try:
        if kind is bool:
            return _WORDS[text.lower()]
        if kind is tuple:
            return _parse_tuple(text)
        value = kind(text)
        if not isinstance(value, float) or math.isfinite(value):
            return value
    except (ValueError, KeyError, SyntaxError, TypeError):
        pass
    raise _wrong_kind(key, text, kind)


def _parse_tuple(text: str) -> tuple[Any, ...]:
    value = ast.literal_eval(text) if text else ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def override(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """Copy a config, set what `overrides` says by whole names, and check its keys, but not yet their values.

    Old names are put in the new ones' place; what the config itself says by an old name gives way to an override by the
    new one. Raises KeyMistake for unknown and missing keys, and for a value of another kind than its key's.
    """
    check_overrides(overrides)
    old = {key: value for key, value in overrides.items() if key in MOVED}
    for key, value in old.items():
        if not isinstance(value, find_kind(key)):
            raise _wrong_kind(key, value, find_kind(key))
    changed = resolve(config, old)
    check_keys(changed)
    for key, value in overrides.items():
        if key not in MOVED:
            try:
                changed.update_from_flattened_dict({key: value})
            except TypeError:
                raise _wrong_kind(key, value, find_kind(key)) from None
    return changed


def _wrong_kind(key: str, value: object, kind: type) -> KeyMistake:
    return KeyMistake(f"{key} takes {_KINDS.get(kind, 'a word')}, which {value!r} is not.")
