"""Weights that were read: variables laid out as the network's, and where they come from."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import flax.traverse_util
import numpy as np
from jaxtyping import Float32, PyTree

from ferjax.documents.words import list_first
from ferjax.errors import UserError
from ferjax.networks.sources import Place

Variables: TypeAlias = PyTree[Float32[np.ndarray, "..."]]

LISTED = 6  # names that an error gives before it counts the rest


@dataclasses.dataclass(frozen=True)
class Weights:
    """All variables of a trained network outside its head.

    `params` and `batch_stats` are laid out as the network's. `source` is the word for who published them, such as
    'torchvision', `model` the network's name, and `scaling` the input that they were trained on (one of
    ferjax.preprocess.SCALINGS). `sha256` and `ignored` are the published file's: its digest, and the tensors in it that
    the network does not take. `path` is what was read.
    """

    params: Variables
    batch_stats: Variables
    source: str
    model: str
    scaling: str
    sha256: str
    ignored: tuple[str, ...]
    path: str


def create_trees(tensors: Iterable[tuple[Place, Float32[np.ndarray, "..."]]]) -> dict[str, Variables]:
    """Return 'params' and 'batch_stats' as trees, with every tensor at its place."""
    flat: dict[str, dict[str, Any]] = {"params": {}, "batch_stats": {}}
    for place, values in tensors:
        flat[place.collection][place.path] = values
    return {collection: flax.traverse_util.unflatten_dict(named, sep="/") for collection, named in flat.items()}


def flatten(tree: PyTree[Any]) -> dict[str, Any]:
    """Return the leaves of nested variables by their names, such as 'block3_conv2/kernel'."""
    named: dict[str, Any] = flax.traverse_util.flatten_dict(tree, sep="/")
    return named


def check_finite(values: Float32[np.ndarray, "..."], name: str, path: pathlib.Path) -> None:
    """Raise UserError where a tensor has a value that no training could go on from."""
    if not np.isfinite(values).all():
        raise UserError(f"{path} is damaged: {name} holds NaN or infinite values, so get the file again.")


def list_problems(problems: Mapping[str, Iterable[str]]) -> str:
    """Return, for each kind of problem that there is, its name with the first items and a count of the rest."""
    return "; ".join(f"{what} {text}" for what, items in problems.items() if (text := list_first(items, LISTED)))


def join_words(words: Iterable[str]) -> str:
    """Return words as a sentence lists them: 'a, b or c'."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
