"""Keys that older versions had elsewhere: they stay accepted, and one line says where they are now."""

import dataclasses
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

logger = logging.getLogger("ferjax")


@dataclasses.dataclass(frozen=True)
class Moved:
    """An old key of `kind`, which is the key `now`.

    `values` are the new values of the old ones, where they differ; an old value that is not among them says nothing.
    """

    now: str
    kind: type
    values: Mapping[Any, Any] | None = None


# In the order in which they are looked at: what a later one says goes over an earlier one.
MOVED: Mapping[str, Moved] = MappingProxyType(
    {
        "data.scaling": Moved("input.scaling", str),
        "data.normalize": Moved("input.scaling", bool, {False: "none"}),
        "model.pretrained": Moved("init.pretrained", str),
        "eval.mirror": Moved("eval.views", bool, {True: "mirror", False: "none"}),
    }
)


def move(flat: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Put what old keys say in the place of the new ones, and say so in a sentence for each.

    `flat` has whole names, like 'data.scaling'; an old key whose value is None says nothing.
    """
    moved, notes = {key: value for key, value in flat.items() if key not in MOVED}, []
    for old, rule in MOVED.items():
        value = flat.get(old)
        if value is None:
            continue
        if rule.values is None:
            moved[rule.now] = value
            notes.append(f"{old} is {rule.now} now; the old name is still accepted.")
        elif value in rule.values:
            moved[rule.now] = rule.values[value]
            notes.append(f"{old}={value} is {rule.now}={rule.values[value]} now; the old name is still accepted.")
    return moved, notes


def resolve(config: ConfigDict, overrides: Mapping[str, Any] = MappingProxyType({})) -> ConfigDict:
    """Copy a config with what its old keys say in the new ones' place; log a line for each old key that says something.

    `overrides` are values of old keys that go over the config's own. Keys that nobody knows stay where they are, for
    `check_keys` to refuse.
    """
    resolved = ConfigDict(config.to_dict())
    moved, notes = move({old: _take(resolved, old) for old in MOVED} | dict(overrides))
    for note in notes:
        logger.info("%s", note)
    for key, value in moved.items():
        group, name = _split(key)
        if group in resolved:
            resolved[group][name] = value
    return resolved.lock()


def _take(config: ConfigDict, key: str) -> Any:
    """Remove a key and return its value, None where there is none."""
    group, name = _split(key)
    if group not in config or name not in config[group]:
        return None
    value = config[group][name]
    del config[group][name]
    return value


def _split(key: str) -> tuple[str, str]:
    group, _, name = key.partition(".")
    return group, name
