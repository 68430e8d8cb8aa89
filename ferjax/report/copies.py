"""Which evaluated images training holds too."""

import json
import pathlib

import numpy as np
from jaxtyping import Bool, Int64

from ferjax.errors import UserError


def mark_copies(path: pathlib.Path, split: str, row: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"] | None:
    """Mark the rows that have an exact copy in training, as data.json says.

    None where the file or its key "copies" is absent, as in runs of an older version, which did not look for copies.
    Raises UserError for a broken file.
    """
    remedy = "train again with 'python -m ferjax.main', or leave that run out"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): {remedy}") from None
    copies = data.get("copies", {}) if isinstance(data, dict) else None
    if not isinstance(copies, dict) or not all(map(is_list_of_counts, copies.values())):
        raise UserError(f"{path}: 'copies' is not a list of row numbers for each split: {remedy}")
    return np.isin(row, np.array(copies[split], np.int64)) if split in copies else None


def is_list_of_counts(value: object) -> bool:
    """Return whether a value is a list of whole numbers from 0 up."""
    return isinstance(value, list) and all(map(_is_count, value))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
