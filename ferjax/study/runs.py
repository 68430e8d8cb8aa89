"""Finished runs, read from their folders, and the setting that they are repeats of."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ferjax.config import flatten, nest, upgrade
from ferjax.errors import UserError
from ferjax.report import mark_copies, read_predictions
from ferjax.report.copies import is_list_of_counts
from ferjax.workdir import CONFIG_FILE, DATA_FILE, PREDICTIONS_FILE

# The keys of a config that a study reads one by one.
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = MappingProxyType(
    {
        **dict.fromkeys(("train.seed", "train.epochs", "train.steps"), ((int,), "a whole number")),
        **dict.fromkeys(("model.name", "init.pretrained", "data.split"), ((str,), "a name")),
        "model.width": ((int, float), "a number"),
    }
)
# What every version has saved; any other key that a config lacks has its default.
_ALWAYS = ("train.seed", "model.name", "data.split")
_REMEDY = "train again with 'python -m ferjax.main', or leave that run out"


@dataclasses.dataclass(frozen=True)
class Source:
    """What the data of a run are: the path, a digest of the rows and their split, and how many rows there are.

    `skipped` counts the rows that were left out.
    """

    path: str
    digest: str
    rows: int
    skipped: int

    @property
    def name(self) -> str:
        """Return the last part of the path, which is what a person calls the file."""
        return pathlib.PurePath(self.path).name or self.path

    def describe(self) -> str:
        """Name the data and say how many rows there are."""
        return f"{self.name}, {self.rows:,} rows"


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run; `copied` marks the images that training holds a copy of, None where this is unknown."""

    folder: pathlib.Path
    config: Mapping[str, Any]
    source: Source
    split: str
    classes: tuple[str, ...]
    row: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    probabilities: Float32[np.ndarray, "n c"]
    copied: Bool[np.ndarray, " n"] | None

    @property
    def seed(self) -> int:
        """Return the seed that the run was trained with."""
        return int(self.config["train"]["seed"])


@dataclasses.dataclass(frozen=True)
class Setting:
    """The runs of one config, by increasing seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the config of the first run; those of the others differ by the seed."""
        return self.runs[0].config

    @property
    def split(self) -> str:
        """Return the split that was evaluated."""
        return self.runs[0].split

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.runs[0].classes

    @property
    def source(self) -> Source:
        """Return what the data are."""
        return self.runs[0].source

    @property
    def images(self) -> int:
        """Count the evaluated images."""
        return len(self.runs[0].row)


def load_run(folder: pathlib.Path) -> Run:
    """Read a finished run. Raises UserError for a file that is missing or broken."""
    predictions = read_predictions(folder / PREDICTIONS_FILE)
    config = _read_config(folder / CONFIG_FILE)
    source = _read_source(folder / DATA_FILE)
    return Run(
        folder,
        config,
        source,
        predictions.split,
        predictions.classes,
        predictions.row,
        predictions.labels,
        predictions.probabilities,
        mark_copies(folder / DATA_FILE, predictions.split, predictions.row),
    )


def _read_config(path: pathlib.Path) -> Mapping[str, Any]:
    config = _read(path)
    saved = dict(flatten(config)) if isinstance(config, dict) else {}
    for key in _ALWAYS:
        if key not in saved:
            raise UserError(f"{path} is not a run's config, for it lacks {key}: {_REMEDY}")
    flat = upgrade(config)
    for key, (types, kind) in _TYPES.items():
        if type(flat[key]) not in types:
            raise UserError(f"{path} is not a run's config, for {key} is not {kind}: {_REMEDY}")
    return nest(flat)


def _read_source(path: pathlib.Path) -> Source:
    data = _read(path)
    if not isinstance(data, dict) or not isinstance(data.get("digest"), str):
        raise UserError(f"{path} lacks the digest of the data: {_REMEDY}")
    if not isinstance(data.get("path"), str):
        raise UserError(f"{path} lacks the path of the data: {_REMEDY}")
    counts = data.get("counts")
    if not isinstance(counts, dict) or not all(map(is_list_of_counts, counts.values())):
        raise UserError(f"{path}: 'counts' is not a list of the classes' images for each split: {_REMEDY}")
    if not isinstance(data.get("skipped"), list):
        raise UserError(f"{path}: 'skipped' is not the list of rows that were left out: {_REMEDY}")
    return Source(data["path"], data["digest"], sum(map(sum, counts.values())), len(data["skipped"]))


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): {_REMEDY}") from None
