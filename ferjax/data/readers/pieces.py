"""Several csv files of one data set: pieces that belong together, and copies that do not."""

import pathlib
import re
from collections.abc import Sequence

from ferjax.data.readers.placing import name_usage
from ferjax.errors import UserError

# Kaggle's competition has the same rows in two files; the first is taken.
_SAME = ("fer2013", "icml_face_data")


def find_usage(name: str) -> int | None:
    """Return the usage that a file's name says, such as 'train.csv' or 'fer2013_val.csv'; None where it says none."""
    found = {usage for word in re.split(r"[^a-z]+", _stem(name)) if (usage := name_usage(word)) is not None}
    return found.pop() if len(found) == 1 else None


def choose_csvs(names: Sequence[str], label: str) -> list[str]:
    """Choose which csvs of a folder or archive to read: one, or all pieces of one kind, in order of their numbers.

    Pieces are of one folder, and their names differ in a number alone, or each says another split. Raises UserError,
    with the list, for files that are neither pieces nor the well-known copies of each other.
    """
    if len(names) <= 1:
        return list(names)
    for stem in _SAME:
        same = [name for name in names if _stem(name) == stem]
        if same and all(_stem(name) in _SAME for name in names):
            return same[:1]
    if len({str(pathlib.PurePosixPath(name).parent) for name in names}) == 1:
        if len({re.sub(r"\d+", "#", _stem(name)) for name in names}) == 1:
            return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", _stem(name))])
        usages = [find_usage(name) for name in names]
        if None not in usages and len(set(usages)) == len(usages):
            return sorted(names, key=lambda name: find_usage(name) or 0)
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    raise UserError(f"{label} holds {len(names)} csv files of this form ({shown}): name the one that is meant")


def _stem(name: str) -> str:
    return pathlib.PurePosixPath(name).stem.lower()
