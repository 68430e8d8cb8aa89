"""Scores of a run's network on images other than its own: another file, folder, labelling or split."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from ferjax import data, report
from ferjax.config import KEYS, KeyMistake
from ferjax.errors import UserError
from ferjax.keys import Choice
from ferjax.network import Network, load
from ferjax.workdir import Workdir

# The authors' splits are in the order of their numbers in Rows.usage.
SPLITS = ("train", "validation", "test", "auto", "all")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The probabilities of a network for some rows of a data set, and the scores of these answers."""

    split: str
    row: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    probabilities: Float32[np.ndarray, "n k"]
    classes: tuple[str, ...]
    report: report.Report
    notes: tuple[str, ...]

    def write(self, folder: pathlib.Path) -> None:
        """Write predictions.csv and the report's files, as a run's end does."""
        folder.mkdir(parents=True, exist_ok=True)
        workdir = Workdir(folder)
        report.write_predictions(
            workdir.predictions,
            row=self.row,
            split=self.split,
            labels=self.labels,
            probabilities=self.probabilities,
            classes=self.classes,
        )
        report.write_report(folder, self.report)


def evaluate(
    network: Network | str | pathlib.Path,
    data_options: Mapping[str, Any] | None = None,
    *,
    split: str = "auto",
    views: str | None = None,
) -> Evaluation:
    """Score a network, or what `load` finds at a path, on a data set.

    The data set is that of the network's run, with `data_options` (config keys of the group data, without the group's
    name) in their place. `split` is 'train', 'validation' or 'test' of it, 'all' rows that have a label, or 'auto':
    what the run's end evaluates where the data are the run's own, and of other data the test split that its authors
    made, or else all rows. `views` is `eval.views` of the run unless it is given. Raises KeyMistake for unknown
    options, UserError for data that cannot be read or whose classes are not the network's.
    """
    if not isinstance(network, Network):
        network = load(network)
    changed = data_options or {}
    rows, split, index = _choose_rows(_choose_options(network, changed), changed, split)
    if "path" in changed and rows.source != changed["path"]:
        raise UserError(
            f"data.path={changed['path']} is not read, since the data set is '{rows.source}': name that of the file as "
            "data.name too."
        )
    if rows.classes != network.classes:
        raise UserError(
            f"{rows.source} has the classes {', '.join(rows.classes)}, and the network those of its training, "
            f"{', '.join(network.classes)}: give data of the same classes."
        )
    if not len(index):
        raise UserError(f"{rows.source} has no rows in its {split} split: choose another of {', '.join(SPLITS)}.")
    # As a run's end does, so that the two can be compared.
    probabilities = network.uncalibrated()(rows.images[index], views=views or str(network.config["eval.views"]))
    labels = rows.labels[index]
    scored = report.create_report(labels, probabilities, split, classes=network.classes)
    return Evaluation(split, index, labels, probabilities, network.classes, scored, rows.notes)


def _choose_options(network: Network, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the group data that the network's run had, with these in their place."""
    options = {key.removeprefix("data."): value for key, value in network.config.items() if key.startswith("data.")}
    for name, value in changed.items():
        if f"data.{name}" not in KEYS:
            raise KeyMistake(f"there is no config key data.{name}; of this group there are {', '.join(options)}.")
        if value not in KEYS[f"data.{name}"].legal:
            raise UserError(f"data.{name}={value!r} is out of range: it must be {KEYS[f'data.{name}'].legal}.")
        options[name] = value
    return options


def _choose_rows(
    options: Mapping[str, Any], changed: Mapping[str, Any], split: str
) -> tuple[data.Rows, str, Int[np.ndarray, " n"]]:
    """Return the data set, the name of the split that is scored, and the numbers of its rows."""
    if split not in SPLITS:
        raise UserError(f"There is no split {split}: it is {Choice(SPLITS)}.")
    # Any file can be read so, also one in which the authors' split is not whole; nothing is left out of what is scored.
    as_is = {**options, "split": "stratified", "dedup": "none"}
    if split == "all" or (changed and "split" not in changed and (split == "auto" or options["split"] == "official")):
        rows, _ = data.load(**as_is)
        labelled = rows.labels != data.UNLABELLED
        name = "test" if split == "auto" else split
        if name != "all" and rows.usage is not None:
            index = np.flatnonzero((rows.usage == SPLITS.index(name)) & labelled)
            if len(index) or split != "auto":
                return rows, name, index
        if split in ("auto", "all"):
            return rows, "all", np.flatnonzero(labelled)
    rows, splits = data.load(**options)
    if split == "auto":
        split = "test" if len(splits["test"]) else "validation"
    return rows, split, splits[split]
