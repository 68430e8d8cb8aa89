"""How two settings differ, and whether their runs can be compared image by image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ferjax.config import find_differences
from ferjax.study.runs import Run, Setting

# What the data keys of a config decide: with one of them changed, other data is no surprise.
_DATA_KEYS = frozenset(
    f"data.{key}" for key in ("split", "split_seed", "on_bad_row", "dedup", "labels", "synthetic_rows")
)


def find_changes(baseline: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Find the keys, apart from the seed, by which a config trains otherwise than the baseline: 'key: from -> to'.

    A resumed run may go on to another train.steps; here that key counts, because it tells how far a network was
    trained.
    """
    changes = {key: text for key, text in find_differences(baseline, config).items() if key != "train.seed"}
    old, new = baseline["train"]["steps"], config["train"]["steps"]
    if old != new:
        changes["train.steps"] = f"train.steps: {old} -> {new}"
    return changes


def list_changes(baseline: Setting, setting: Setting) -> tuple[str, ...]:
    """List what find_changes finds between two settings, and other data where no key of the config explains it."""
    changes = find_changes(baseline.config, setting.config)
    old, new = baseline.source, setting.source
    listed = tuple(changes.values())
    if old.digest != new.digest and not _DATA_KEYS & changes.keys():
        names = f"{old.describe()} -> {new.describe()}"
        same = f"{new.describe()} with other content"
        listed += (f"other data ({same if old.describe() == new.describe() else names})",)
    return listed


def find_mismatch(ours: Run, other: Run) -> str:
    """Say why two runs cannot be compared image by image, in words after 'evaluated on'; empty where they can."""
    if ours.split != other.split:
        return f"different splits ({ours.split}, {other.split})"
    if ours.classes != other.classes:
        return f"different classes ({len(ours.classes)}, {len(other.classes)})"
    if not np.array_equal(ours.row, other.row):
        return f"different rows of the {ours.split} split"
    if not np.array_equal(ours.labels, other.labels):
        return "the same rows with different labels"
    return ""
