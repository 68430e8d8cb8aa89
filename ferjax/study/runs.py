"""The files of finished runs -> settings: runs that differ by their seed alone."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ferjax.config import find_differences, flatten
from ferjax.errors import UserError
from ferjax.report import read_predictions

SYNTHETIC = "synthetic"
# What the data keys of a config decide, so that with one of them changed other data is no surprise.
_DATA_KEYS = {f"data.{key}" for key in ("split", "split_seed", "on_bad_row", "dedup", "labels", "synthetic_rows")}
# The keys of a config that a study reads by themselves.
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("train.seed", "train.epochs", "train.steps"), ((int,), "a whole number")),
    **dict.fromkeys(("model.name", "model.pretrained", "data.split"), ((str,), "a name")),
    "model.width": ((int, float), "a number"),
}
_REMEDY = "train again with 'python -m ferjax.main', or leave that run out"


@dataclasses.dataclass(frozen=True)
class Source:
    """The data of a run: its path, a digest of its rows and their split, and how many there are and were left out."""

    path: str
    digest: str
    rows: int
    skipped: int

    @property
    def name(self) -> str:
        """The last part of the path: what a person calls the file."""
        return pathlib.PurePath(self.path).name or self.path

    def describe(self) -> str:
        return f"{self.name}, {self.rows:,} rows"


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run; `copied` marks the images that training holds a copy of, None where nobody looked."""

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
        return int(self.config["train"]["seed"])


@dataclasses.dataclass(frozen=True)
class Setting:
    """The runs of one config, by increasing seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.runs[0].config

    @property
    def split(self) -> str:
        return self.runs[0].split

    @property
    def classes(self) -> tuple[str, ...]:
        return self.runs[0].classes

    @property
    def source(self) -> Source:
        return self.runs[0].source

    @property
    def images(self) -> int:
        """How many images were evaluated."""
        return len(self.runs[0].row)


def load_setting(name: str, folders: Sequence[pathlib.Path]) -> Setting:
    """Reads the finished runs of one setting.

    Raises UserError for a broken file, and, naming the folders and what differs, for runs that are no repeats of one
    experiment: configs that differ by more than the seed, one seed twice, other data, or other images evaluated.
    """
    runs = sorted((load_run(folder) for folder in folders), key=lambda run: run.seed)
    first = runs[0]
    for before, run in itertools.pairwise(runs):
        differences = find_changes(first.config, run.config)
        pair = f"{first.folder} and {run.folder}"
        remedy = (
            "give every setting a folder of its own, or name the runs one by one (--workdir A B) to set them side by "
            "side"
        )
        if differences:
            raise UserError(f"{pair} differ by more than the seed ({'; '.join(differences.values())}): {remedy}")
        if before.seed == run.seed:
            raise UserError(
                f"{before.folder} and {run.folder} have the same train.seed, {run.seed}: "
                "delete one of them, or train it with another seed"
            )
        if first.source.digest != run.source.digest:
            raise UserError(f"{pair} were trained on different data (the digest in data.json differs): {remedy}")
        if said := find_mismatch(first, run):
            raise UserError(f"{pair} were evaluated on {said}: evaluate all with the same eval.split")
    return Setting(name, tuple(runs))


def find_changes(baseline: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """'key: from -> to' of what is trained otherwise than in the baseline, whatever the seed.

    A resumed run may go on with another train.steps; here it tells how far a network was trained.
    """
    changes = {key: text for key, text in find_differences(baseline, config).items() if key != "train.seed"}
    old, new = baseline["train"]["steps"], config["train"]["steps"]
    if old != new:
        changes["train.steps"] = f"train.steps: {old} -> {new}"
    return changes


def list_changes(baseline: Setting, setting: Setting) -> tuple[str, ...]:
    """What find_changes says of two settings, and other data where no key of the config explains it."""
    changes = find_changes(baseline.config, setting.config)
    old, new = baseline.source, setting.source
    said = tuple(changes.values())
    if old.digest != new.digest and not _DATA_KEYS & changes.keys():
        names = f"{old.describe()} -> {new.describe()}"
        same = f"{new.describe()} with other content"
        said += (f"other data ({same if old.describe() == new.describe() else names})",)
    return said


def find_mismatch(ours: Run, other: Run) -> str:
    """What keeps two runs from being compared image by image, as words after 'evaluated on'; empty if nothing does."""
    if ours.split != other.split:
        return f"different splits ({ours.split}, {other.split})"
    if ours.classes != other.classes:
        return f"different classes ({len(ours.classes)}, {len(other.classes)})"
    if not np.array_equal(ours.row, other.row):
        return f"different rows of the {ours.split} split"
    if not np.array_equal(ours.labels, other.labels):
        return "the same rows with different labels"
    return ""


def load_run(folder: pathlib.Path) -> Run:
    """Reads a finished run. Raises UserError for a file that is missing or broken."""
    predictions = read_predictions(folder / "predictions.csv")
    config = _read_config(folder / "config.json")
    source = _read_source(folder / "data.json")
    return Run(
        folder,
        config,
        source,
        predictions.split,
        predictions.classes,
        predictions.row,
        predictions.labels,
        predictions.probabilities,
        mark_copies(folder / "data.json", predictions.split, predictions.row),
    )


def _read_config(path: pathlib.Path) -> Mapping[str, Any]:
    config = _read(path)
    flat = dict(flatten(config)) if isinstance(config, dict) else {}
    for key, (types, kind) in _TYPES.items():
        if key not in flat:
            raise UserError(f"{path} is not a run's config, for it lacks {key}: {_REMEDY}")
        if type(flat[key]) not in types:
            raise UserError(f"{path} is not a run's config, for {key} is not {kind}: {_REMEDY}")
    return dict(config)


def _read_source(path: pathlib.Path) -> Source:
    data = _read(path)
    if not isinstance(data, dict) or not isinstance(data.get("digest"), str):
        raise UserError(f"{path} lacks the digest of the data: {_REMEDY}")
    if not isinstance(data.get("path"), str):
        raise UserError(f"{path} lacks the path of the data: {_REMEDY}")
    counts = data.get("counts")
    if not isinstance(counts, dict) or not all(map(_is_counts, counts.values())):
        raise UserError(f"{path}: 'counts' is not a list of the classes' images for each split: {_REMEDY}")
    if not isinstance(data.get("skipped"), list):
        raise UserError(f"{path}: 'skipped' is not the list of rows that were left out: {_REMEDY}")
    return Source(data["path"], data["digest"], sum(map(sum, counts.values())), len(data["skipped"]))


def _is_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def mark_copies(path: pathlib.Path, split: str, row: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"] | None:
    """Which rows have an exact copy in training, as data.json says; None where the file or the key is absent.

    Raises UserError for a broken file.
    """
    if not path.exists():
        return None
    data = _read(path)
    copies = data.get("copies", {}) if isinstance(data, dict) else None
    if not isinstance(copies, dict) or not all(map(_is_counts, copies.values())):
        raise UserError(f"{path}: 'copies' is not a list of row numbers for each split: {_REMEDY}")
    return np.isin(row, np.array(copies[split], np.int64)) if split in copies else None


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): {_REMEDY}") from None
