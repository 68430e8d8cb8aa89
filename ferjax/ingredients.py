"""A room's table of ingredients: what makes each of them, and the config keys that it reads."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ferjax.keys import Key, Keys

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Ingredient(Generic[T]):
    """One entry of a table: `create` takes the values of `keys`, by name, which no other entry needs to know."""

    create: Callable[..., T]
    keys: Keys = dataclasses.field(default_factory=dict)

    def create_from(self, options: Mapping[str, Any], **given: Any) -> T:
        """Call `create` with the values that `options` has of this entry's keys, and with what else is `given`."""
        return self.create(**{name: options[name] for name in self.keys}, **given)


def join_keys(*parts: Keys) -> Keys:
    """Join the keys of a group's parts; raises ValueError where two parts declare one name in different ways."""
    joined: dict[str, Key] = {}
    for keys in parts:
        for name, key in keys.items():
            if joined.setdefault(name, key) != key:
                raise ValueError(f"The key {name!r} is declared twice.")
    return types.MappingProxyType(joined)


def complete(keys: Keys, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every key: that of `options`, or else the declared default.

    Raises TypeError for an option that is not one of the keys.
    """
    if unknown := sorted(options.keys() - keys.keys()):
        raise TypeError(f"There is no option {', '.join(unknown)}; there are {', '.join(keys)}.")
    return {name: options.get(name, key.default) for name, key in keys.items()}
