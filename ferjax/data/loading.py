"""From the config's group "data" to rows and their splits."""

import contextlib
import dataclasses
import functools
import os
import types
from collections.abc import Iterator
from typing import Any

from ferjax.data.datasets import DATASETS, DataSet
from ferjax.data.duplicates import DEDUP, drop_copies
from ferjax.data.reading import ON_BAD_ROW
from ferjax.data.regroup import regroup
from ferjax.data.rows import Rows
from ferjax.data.splits import MODES, Splits, split
from ferjax.errors import UserError
from ferjax.ingredients import complete, join_keys
from ferjax.keys import COUNT, TEXT, Choice, Key, Keys

_DEFAULT_NAME = "fer2013"

# The keys that every data set has.
_COMMON: Keys = types.MappingProxyType(
    {
        "path": Key(
            "data/fer2013.csv",
            TEXT,
            "where the data set is: a csv, an image folder, a .zip or .tar.gz of either, or a prepared tfds "
            "folder; 'synthetic' draws faces instead",
            resume="free",
        ),
        "name": Key(
            _DEFAULT_NAME,
            Choice(tuple(DATASETS)),
            "which data set it is, which says its classes and the size of its images; 'folder' are your "
            "own images in a folder for each class, and 'synthetic' faces that ferjax draws",
            resume="never",
        ),
        "classes": Key(
            "",
            TEXT,
            "fewer classes, made of the data set's own, like 'positive=happy+surprise,negative=angry+sad': classes are "
            "put together, and rows of those that are not named are left out; '' keeps the data set's classes",
            resume="never",
        ),
        "split": Key(
            "official",
            Choice(MODES),
            "how rows are divided into training, validation and test: 'official' as the data set's authors "
            "did (the column Usage of fer2013.csv), 'stratified' at random, 80/10/10 % of each class, 'auto' as the "
            "authors did as far as they did it, and the rest at random",
            resume="never",
        ),
        "split_seed": Key(0, COUNT, "seed of the random draws of the stratified split", resume="never"),
        "on_bad_row": Key(
            "error",
            Choice(ON_BAD_ROW),
            "what to do about a row that cannot be read: 'error' stops and names it, 'skip' leaves it out and lists it",
        ),
        "dedup": Key(
            "none",
            Choice(DEDUP),
            "which rows to leave out of training: 'none', those with an 'exact' copy in validation or test, "
            "or 'near' also those with a nearly equal or mirrored one",
            resume="never",
        ),
    }
)


KEYS = join_keys(_COMMON, *(entry.keys for entry in DATASETS.values()))


def read(path: str | os.PathLike[str], on_bad_row: str = "error", name: str = _DEFAULT_NAME) -> Rows:
    """Read a data set of the table DATASETS under its own labels, in file order.

    `on_bad_row` is 'error', which raises UserError at the first bad row, or 'skip', which lists bad rows in `skipped`
    and logs how many they are. What was read is kept in the cache for the next time.
    """
    entry = _find(name)
    with _explain_memory(path):
        rows = entry.read(path, on_bad_row, **{key: declared.default for key, declared in entry.keys.items()})
        return _name_source(rows, path)


def load(**options: Any) -> tuple[Rows, Splits]:
    """Return the rows of the config's data set and the row numbers of 'train', 'validation' and 'test'.

    `options` are the values of KEYS; one that is left out has its default. 'test' may be empty. The notes of the rows
    say what `labels` and `dedup` left out. Raises UserError for whatever is wrong with the options or the data set.
    """
    keys = join_keys(_COMMON, *(entry.keys for entry in DATASETS.values()))
    values = complete(keys, options)
    for key, value in values.items():
        if key != "name" and value not in keys[key].legal:
            raise UserError(f"data.{key}={value!r} is out of range: it must be {keys[key].legal}")
    # data.path='synthetic' is another spelling of data.name='synthetic'.
    drawn = values["path"] == "synthetic" and values["name"] == _DEFAULT_NAME
    name = "synthetic" if drawn else values["name"]
    entry = _find(name)
    own = {key: values[key] for key in entry.keys}
    unread = [
        f"data.{key} is not read, since the data set is '{name}'"
        for key, declared in keys.items()
        if key not in _COMMON and key not in own and values[key] != declared.default
    ]
    divide = functools.partial(split, mode=values["split"], seed=values["split_seed"])
    with _explain_memory(values["path"]):
        rows = _name_source(entry.read(values["path"], values["on_bad_row"], **own), values["path"])
        rows = dataclasses.replace(rows, notes=(*rows.notes, *unread))
        rows, splits = (rows, divide(rows)) if entry.relabel is None else entry.relabel(rows, divide, **own)
        rows, splits = regroup(rows, splits, values["classes"])
        return drop_copies(rows, splits, values["dedup"])


@contextlib.contextmanager
def _explain_memory(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise UserError where the memory does not hold a data set, all of which is kept there."""
    try:
        yield
    except MemoryError as error:
        raise UserError(
            f"The memory that this process may use does not hold the images of {os.fspath(path)}: take fewer of them, "
            "or raise the limit (ulimit -v says it)."
        ) from error


def _find(name: str) -> DataSet:
    if name not in DATASETS:
        raise UserError(f"data.name is '{name}': choose one of {', '.join(DATASETS)}")
    return DATASETS[name]


def _name_source(rows: Rows, path: str | os.PathLike[str]) -> Rows:
    return rows if rows.source else dataclasses.replace(rows, source=os.fspath(path))
