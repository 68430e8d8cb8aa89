"""Two configs side by side: what differs, where a key that one of them lacks has its default."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.config.groups import KEYS
from ferjax.config.moved import move


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every ('group.key', value) of a nested config; tuples come as lists, as JSON has them."""
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _to_json(value)


def _to_json(value: Any) -> Any:
    return [_to_json(item) for item in value] if isinstance(value, tuple | list) else value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config by groups, from one by whole names."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return nested


def upgrade(saved: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config as this version would have saved it, by whole names.

    Keys that moved are where they are now, and a key that it lacks, because it is younger than the config, has its
    default. What this version does not know stays.
    """
    moved, _ = move(dict(flatten(saved)))
    return {key: _to_json(spec.default) for key, spec in KEYS.items()} | moved


def find_differences(
    saved: ConfigDict | Mapping[str, Any],
    config: ConfigDict | Mapping[str, Any],
    *,
    resume: tuple[str, ...] = ("ask", "never"),
) -> dict[str, str]:
    """Return 'key: saved -> now' of every key whose value differs; `resume` names the kinds of keys that count.

    A key that neither this version nor any before it knew counts as 'ask'.
    """
    old, new = upgrade(saved), upgrade(config)
    kinds = {key: spec.resume for key, spec in KEYS.items()}
    return {
        key: f"{key}: {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if kinds.get(key, "ask") in resume and old.get(key) != new.get(key)
    }
