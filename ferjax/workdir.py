"""A run's folder: the name and the content of each file in it, and the lock of who writes there."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import numpy as np
from ml_collections import ConfigDict

from ferjax import config, data
from ferjax.errors import UserError
from ferjax.files import remove_remains, write_json
from ferjax.holding import hold

CONFIG_FILE = "config.json"
DATA_FILE = "data.json"
VERSIONS_FILE = "versions.json"
PRETRAINED_FILE = "pretrained.json"
PARAMETERS_FILE = "parameters.txt"
METRICS_FILE = "metrics.jsonl"
PREDICTIONS_FILE = "predictions.csv"
MISTAKES_FILE = "worst_mistakes.npz"
REPORT_FILE = "report.json"
CALIBRATION_FILE = "calibration.json"
REPORT_FILES = ("report.md", REPORT_FILE, "report.csv")
FIGURES_FOLDER = "figures"
CHECKPOINTS_FOLDER = "checkpoints"
TENSORBOARD_FOLDER = "tensorboard"

# The figures of one run; a study draws others into a folder of the same name.
RUN_FIGURES = ("curves.png", "confusion.png", "class_distribution.png", "worst_mistakes.png")


class DataFacts(TypedDict):
    """What data.json holds.

    `digest` is a SHA-256 of the rows and their split, `counts` the images of each class for each split, `copies` the
    rows of validation and of test that have an exact copy in training, `image_shape` (height, width, channels).
    """

    path: str
    digest: str
    classes: list[str]
    image_shape: list[int]
    counts: dict[str, list[int]]
    copies: dict[str, list[int]]
    skipped: list[str]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The folder of one run. Making one of these touches nothing on the disk."""

    folder: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """The config that the newest start was given, as JSON."""
        return self.folder / CONFIG_FILE

    @property
    def data(self) -> pathlib.Path:
        """DataFacts as JSON."""
        return self.folder / DATA_FILE

    @property
    def versions(self) -> pathlib.Path:
        """A list with an entry for each start: its step, versions, commit and devices."""
        return self.folder / VERSIONS_FILE

    @property
    def pretrained(self) -> pathlib.Path:
        """The published weights that the run began from, if any."""
        return self.folder / PRETRAINED_FILE

    @property
    def parameters(self) -> pathlib.Path:
        """A table of the network's parameters."""
        return self.folder / PARAMETERS_FILE

    @property
    def metrics(self) -> pathlib.Path:
        """One JSON object a line: the scores of steps and of epochs."""
        return self.folder / METRICS_FILE

    @property
    def tensorboard(self) -> pathlib.Path:
        """The same scores as TensorBoard's events."""
        return self.folder / TENSORBOARD_FOLDER

    @property
    def checkpoints(self) -> pathlib.Path:
        """A folder for each checkpoint."""
        return self.folder / CHECKPOINTS_FOLDER

    @property
    def predictions(self) -> pathlib.Path:
        """The probabilities of every evaluated image."""
        return self.folder / PREDICTIONS_FILE

    @property
    def calibration(self) -> pathlib.Path:
        """The temperature that validation gave the network, and the calibration errors without and with it."""
        return self.folder / CALIBRATION_FILE

    @property
    def worst_mistakes(self) -> pathlib.Path:
        """The images whose wrong answers were the most confident."""
        return self.folder / MISTAKES_FILE

    @property
    def figures(self) -> pathlib.Path:
        """The figures of the run."""
        return self.folder / FIGURES_FOLDER

    def has_checkpoint(self) -> bool:
        """Return whether the folder has a checkpoint, from which a run would go on."""
        return self.checkpoints.is_dir() and any(
            re.fullmatch(r"\d+|step_\d+(_validated)?", path.name) for path in self.checkpoints.iterdir()
        )

    def read_config(self) -> dict[str, Any] | None:
        """Read the newest start's config by whole names, as this version would have saved it; None where there is none.

        Raises UserError for a file that cannot be read.
        """
        saved = self._read(self.config)
        if saved is None:
            return None
        if not isinstance(saved, dict):
            raise UserError(f"{self.config} holds no config: delete it, or use another --workdir.")
        return config.upgrade(saved)

    def read_data(self) -> DataFacts | None:
        """Read data.json; None where there is none. Raises UserError for a file that cannot be read."""
        facts = self._read(self.data)
        if facts is None:
            return None
        if not isinstance(facts, dict) or not {"digest", "classes", "path"} <= facts.keys():
            raise UserError(f"{self.data} lacks what a run knows of its data: delete it, or use another --workdir.")
        # Versions before the first data set of another size did not write it.
        found: DataFacts = {"image_shape": [48, 48, 1], "copies": {}, "counts": {}, **facts}  # type: ignore[typeddict-item]
        return found

    def read_calibration(self) -> dict[str, Any]:
        """Read calibration.json; empty where the run has not come to its end, or was made before there was one.

        Raises UserError for a file that cannot be read.
        """
        found = self._read(self.calibration)
        if found is None:
            return {}
        if not isinstance(found, dict) or not {"temperature", "unsure_below"} <= found.keys():
            raise UserError(f"{self.calibration} holds no temperature: delete it, and end the run again.")
        return found

    def read_starts(self) -> list[dict[str, Any]]:
        """Read versions.json, an entry for each start; empty where there is none. Raises UserError."""
        found: list[dict[str, Any]] = self._read(self.versions) or []
        if not isinstance(found, list) or not all(isinstance(start, dict) for start in found):
            raise UserError(f"{self.versions} is no list of a run's starts: delete it.")
        return found

    def read_pretrained(self) -> dict[str, Any] | None:
        """Read which published weights the run began from; None where it began from none. Raises UserError."""
        found: dict[str, Any] | None = self._read(self.pretrained)
        return found

    def check(self, wanted: Mapping[str, Any] | ConfigDict, facts: DataFacts, *, allow_change: bool) -> str:
        """Return what differs from the run that has checkpoints here, empty where nothing does.

        Raises UserError, naming what differs, where the run cannot go on with the config `wanted` and this data, or,
        without `allow_change`, should not.
        """
        saved, saved_data = self.read_config(), self.read_data()
        if not self.has_checkpoint():
            return ""
        missing = [path.name for path, found in ((self.config, saved), (self.data, saved_data)) if found is None]
        if missing and not allow_change:
            raise UserError(
                f"{self.folder} has a checkpoint but no {' and no '.join(missing)}, so that nothing says what it was "
                "made with: use another --workdir, or --allow_config_change to go on with this config and these data."
            )
        fixed, others = (
            [] if saved is None else list(config.find_differences(saved, wanted, resume=kind).values())
            for kind in (("never",), ("ask",))
        )
        if saved_data is not None and saved_data["digest"] != facts["digest"]:
            fixed.append(f"the data set: {saved_data['path']} -> {facts['path']}")
        every = "; ".join([*fixed, *others, *(f"{name} is missing" for name in missing)])
        if fixed:
            raise UserError(
                f"{self.folder} was made with another config, and cannot go on with this one ({every}): use another "
                "--workdir."
            )
        if others and not allow_change:
            raise UserError(
                f"{self.folder} was made with another config ({every}): use another --workdir, or "
                "--allow_config_change to go on from its checkpoint with the new one."
            )
        return every

    def compare_start(self, start: Mapping[str, Any]) -> list[str]:
        """Return 'what: before -> now' of all that the last digits depend on and that the last start had otherwise.

        Empty for a start at step 0; what the last start's version of ferjax did not record is left out.
        """
        before = [entry["numbers_depend_on"] for entry in self.read_starts() if "numbers_depend_on" in entry]
        if not start["step"] or not before:
            return []
        now = start["numbers_depend_on"]
        was = before[-1]
        return [f"{name} ({was[name]} -> {now[name]})" for name in now if name in was and was[name] != now[name]]

    def begin(self, wanted: ConfigDict, facts: DataFacts, start: Mapping[str, Any]) -> None:
        """Write config.json and data.json, and add this `start` to versions.json; an earlier start's results go."""
        # Until this start ends, an earlier one's results would be taken for this one's.
        for name in (PREDICTIONS_FILE, MISTAKES_FILE, CALIBRATION_FILE, *REPORT_FILES):
            (self.folder / name).unlink(missing_ok=True)
        for name in RUN_FIGURES:
            (self.figures / name).unlink(missing_ok=True)
        write_json(self.versions, [*self.read_starts(), start], sort_keys=True)
        write_json(self.config, json.loads(wanted.to_json()), sort_keys=True)
        write_json(self.data, facts, sort_keys=True)

    def write_pretrained(self, about: Mapping[str, Any] | None) -> None:
        """Write which weights the run began from; with None, remove what a start without a checkpoint left."""
        if about is None:
            self.pretrained.unlink(missing_ok=True)
        else:
            write_json(self.pretrained, about, sort_keys=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder and hold it for one process; raises UserError where another one trains in it.

        A start that is refused before it has written anything leaves no new folder behind (on Windows it may).
        """
        with hold(self.folder, is_begun=self.config.exists):
            remove_remains(self.folder, self.figures)
            yield

    def _read(self, path: pathlib.Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it, or use another --workdir.") from error


def describe_data(rows: data.Rows, splits: data.Splits) -> DataFacts:
    """Return what data.json says of these rows and their splits."""
    digest = hashlib.sha256()
    targets = () if rows.targets is None else (rows.targets,)
    for array in (rows.images, rows.labels, *targets, *splits.values()):
        digest.update(np.ascontiguousarray(array).data)
    counts = {name: np.bincount(rows.labels[index], minlength=len(rows.classes)) for name, index in splits.items()}
    return {
        "path": rows.source,
        "digest": digest.hexdigest(),
        "classes": list(rows.classes),
        "image_shape": list(rows.images.shape[1:]),
        "counts": {name: count.tolist() for name, count in counts.items()},
        "copies": {name: index.tolist() for name, index in data.copied_rows(rows, splits).items()},
        "skipped": list(rows.skipped),
        "notes": list(rows.notes),
    }
