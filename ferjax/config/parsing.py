"""Values as a person types them, read as what their key holds."""

import ast
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.config.checking import KeyMistake, check_overrides
from ferjax.config.groups import KEYS
from ferjax.config.moved import MOVED

_WORDS = {"true": True, "false": False}


def parse_value(key: str, text: str) -> Any:
    """Read `text` as the kind of value that a config key has; raises KeyMistake where it is none.

    Numbers and words are as they stand, true and false in any case; a tuple is a Python literal, '(1, 2)', or items
    between commas, '1,2'.
    """
    check_overrides([key])
    default = MOVED[key].kind() if key in MOVED else KEYS[key].default
    text = text.strip()
    try:
        if isinstance(default, bool):
            return _WORDS[text.lower()]
        if isinstance(default, tuple):
            return _parse_tuple(text)
        value = type(default)(text)
        if not isinstance(value, float) or math.isfinite(value):
            return value
    except (ValueError, KeyError, SyntaxError):
        pass
    kinds = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a tuple, such as (1, 2)"}
    raise KeyMistake(f"{key} takes {kinds.get(type(default), 'a word')}, which {text!r} is not.")


def _parse_tuple(text: str) -> tuple[Any, ...]:
    value = ast.literal_eval(text) if text else ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def apply_overrides(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
    """Set keys of a config by their whole names, like 'optim.learning_rate'.

    Raises KeyMistake for a key that ferjax does not read, and for a value of another kind than the key's.
    """
    check_overrides(overrides)
    for key, value in overrides.items():
        try:
            config.update_from_flattened_dict({key: value})
        except TypeError:
            raise KeyMistake(f"{key} takes a {type(KEYS[key].default).__name__}, which {value!r} is not.") from None
