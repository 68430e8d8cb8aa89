"""Folders of finished runs -> settings: runs that differ by their seed alone."""

import dataclasses
import itertools
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ferjax.config import find_differences, flatten
from ferjax.errors import UserError
from ferjax.report import read_predictions

DEPTH = 3
_SEED_FOLDER = re.compile(r"seed_\d+")
_PASSED_OVER = ("checkpoints", "figures", "tensorboard")


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run; `copied` marks the images that training holds a copy of, None where nobody looked."""

    folder: pathlib.Path
    config: Mapping[str, Any]
    digest: str
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


def is_run(folder: pathlib.Path) -> bool:
    """Whether a folder is that of one run, finished or not."""
    return any((folder / name).is_file() for name in ("config.json", "predictions.csv"))


def is_finished(folder: pathlib.Path) -> bool:
    return (folder / "predictions.csv").is_file()


def find_runs(folders: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Run folders in and below `folders`, at most DEPTH levels down, each once, numbers in names in their order.

    Raises UserError for a folder that isn't there or that holds no run.
    """
    found: dict[pathlib.Path, pathlib.Path] = {}
    for folder in folders:
        remedy = f"train into it with 'python -m ferjax.main --workdir {folder}'"
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; {remedy}")
        below = list_runs(folder)
        if not below:
            raise UserError(f"{folder} holds no run, neither itself nor up to {DEPTH} folders down; {remedy}")
        for run in below:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def list_runs(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of runs in and below one folder, at most DEPTH levels down."""
    return list(_walk(folder, DEPTH))


def _walk(folder: pathlib.Path, depth: int) -> Iterator[pathlib.Path]:
    if is_run(folder):
        yield folder
    elif depth:
        children = (child for child in folder.iterdir() if child.is_dir() and child.name not in _PASSED_OVER)
        for child in sorted((c for c in children if not c.name.startswith(".")), key=lambda c: natural_key(c.name)):
            yield from _walk(child, depth - 1)


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """A sort key by which batch2 comes before batch32."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def group_runs(runs: Sequence[pathlib.Path], named: Sequence[pathlib.Path]) -> dict[pathlib.Path, list[pathlib.Path]]:
    """The runs of each setting, by the setting's folder.

    That is the parent of the run, but a run that was itself `named` on the command line is a setting of its own, except
    one called seed_<n>.
    """
    alone = {folder.resolve() for folder in named}
    groups: dict[pathlib.Path, list[pathlib.Path]] = {}
    for run in runs:
        resolved = run.resolve()
        own = resolved in alone and not _SEED_FOLDER.fullmatch(resolved.name)
        groups.setdefault(resolved if own else resolved.parent, []).append(run)
    return groups


def name_settings(folders: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """The name of every setting's folder: its own, with as many of its parents' as it takes to tell them apart."""
    for parts in range(1, max((len(folder.parts) for folder in folders), default=1) + 1):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return dict(zip(folders, names, strict=True)) if folders else {}


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
        if first.digest != run.digest:
            raise UserError(f"{pair} were trained on different data (the digest in data.json differs): {remedy}")
        if said := find_mismatch(first, run):
            raise UserError(f"{pair} were evaluated on {said}: evaluate all with the same eval.split")
    return Setting(name, tuple(runs))


def find_changes(baseline: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """'key: from -> to' of what is trained otherwise than in the baseline, whatever the seed."""
    return {key: text for key, text in find_differences(baseline, config).items() if key != "train.seed"}


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
    config, data = _read(folder / "config.json"), _read(folder / "data.json")
    try:
        dict(flatten(config))
        int(config["train"]["seed"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{folder / 'config.json'} is not a run's config: train again with 'python -m ferjax.main', or leave "
            "that run out"
        ) from None
    if not isinstance(data, dict) or not isinstance(data.get("digest"), str):
        raise UserError(f"{folder / 'data.json'} lacks the digest of the data: train again, or leave that run out")
    return Run(
        folder,
        config,
        data["digest"],
        predictions.split,
        predictions.classes,
        predictions.row,
        predictions.labels,
        predictions.probabilities,
        mark_copies(folder / "data.json", predictions.split, predictions.row),
    )


def mark_copies(path: pathlib.Path, split: str, row: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"] | None:
    """Which rows have an exact copy in training, as data.json says; None where the file or the key is absent.

    Raises UserError for a broken file.
    """
    if not path.exists():
        return None
    data = _read(path)
    try:
        copies = data.get("copies", {}).get(split)
        return None if copies is None else np.isin(row, np.array(copies, np.int64))
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{path}: 'copies' is not a list of row numbers for each split; train again") from None


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): train again with 'python -m ferjax.main', or leave that run out"
        ) from None
