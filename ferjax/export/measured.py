"""What a run measured, for its model card: no number is taken from anywhere but the run's own files."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

from ferjax import report
from ferjax.data.datasets import DATASETS
from ferjax.errors import UserError
from ferjax.scores.calibration import calibrate
from ferjax.scores.temperature import scale
from ferjax.workdir import CALIBRATION_FILE, DATA_FILE, PREDICTIONS_FILE, REPORT_FILE, DataFacts, Workdir

_AGAIN = "give its training command once more ('ferjax train', with the same --config and --workdir), which writes it"
# A test compares these with the formats that need no card.
_WITHOUT = "write files that need no card, with -f onnx,stablehlo"


@dataclasses.dataclass(frozen=True)
class Repeats:
    """The scores of the runs of one setting that differ in their seeds alone."""

    seeds: tuple[int, ...]
    accuracy: tuple[float, ...]
    macro_f1: tuple[float, ...]

    def describe(self, values: tuple[float, ...]) -> str:
        """Return mean and standard deviation over the seeds, in percent."""
        return f"{statistics.mean(values):.1%} ± {statistics.stdev(values):.1%}"


@dataclasses.dataclass(frozen=True)
class Measured:
    """The numbers of a run, all from its folder.

    `error_before` and `error_after` are expected calibration errors, without and with the temperature, of the split
    that `report` is of. `repeats` are the runs of other seeds beside this one, if there are any.
    """

    config: Mapping[str, Any]
    data: DataFacts
    report: report.Report
    calibration: Mapping[str, Any]
    error_before: float
    error_after: float
    starts: tuple[Mapping[str, Any], ...]
    pretrained: Mapping[str, Any] | None
    repeats: Repeats | None

    @property
    def data_set(self) -> str:
        """The name of the data set in DATASETS; some need no path, and are named in its place."""
        path = self.data["path"]
        return path if path in DATASETS else str(self.config["data.name"])


def read_measured(folder: pathlib.Path) -> Measured:
    """Read what a finished run measured. Raises UserError, with the command that makes it, for what is missing."""
    workdir = Workdir(folder)
    config, data = (workdir.read_config(), workdir.read_data()) if folder.is_dir() else (None, None)
    if config is None or data is None:
        raise UserError(
            f"{folder} is no run's folder, and so lacks the numbers that a model card needs: name the folder of the "
            f"run, or {_WITHOUT}."
        )
    _require(folder / PREDICTIONS_FILE, f"the run has not come to its end; {_AGAIN}")
    _require(folder / CALIBRATION_FILE, _AGAIN)
    predictions, calibration = report.read_predictions(folder / PREDICTIONS_FILE), workdir.read_calibration()
    # Runs that were trained from Python by older versions have predictions and no report.
    has_report = (folder / REPORT_FILE).is_file()
    found = report.read_report(folder / REPORT_FILE) if has_report else report.report_predictions(folder, predictions)
    lacking = [
        *(f"{REPORT_FILE}: {key}" for key in report.Report.__annotations__ if key not in found),
        *(
            f"{CALIBRATION_FILE}: {key}"
            for key in ("error_before", "error_after", "split", "n")
            if key not in calibration
        ),
        *(f"{DATA_FILE}: {key}" for key in ("copies", "counts") if not data.get(key)),
    ]
    if lacking:
        raise UserError(
            f"{folder} lacks numbers that a model card needs ({', '.join(lacking)}), since an older ferjax wrote it: "
            f"{_AGAIN}, or {_WITHOUT}."
        )
    calibrated = scale(predictions.probabilities, calibration["temperature"])
    return Measured(
        config=config,
        data=data,
        report=found,
        calibration=calibration,
        error_before=calibrate(predictions.labels, predictions.probabilities).error,
        error_after=calibrate(predictions.labels, calibrated).error,
        starts=tuple(workdir.read_starts()),
        pretrained=workdir.read_pretrained(),
        repeats=_read_repeats(folder, found),
    )


def _require(path: pathlib.Path, remedy: str) -> None:
    if not path.is_file():
        raise UserError(
            f"No model card is written without measured numbers, and {path} is missing: {remedy}, or {_WITHOUT}."
        )


def _read_repeats(folder: pathlib.Path, own: report.Report) -> Repeats | None:
    """Read the reports of the runs beside this one, in folders called seed_<n>, on the same images as this one's."""
    if not _seed_of(folder):
        return None
    reports = {}
    for sibling in folder.resolve().parent.iterdir():
        if _seed_of(sibling) and (sibling / REPORT_FILE).is_file():
            found = report.read_report(sibling / REPORT_FILE)
            if (found["split"], found["n"]) == (own["split"], own["n"]):
                reports[int(_seed_of(sibling))] = found
    if len(reports) < 2:
        return None
    seeds = tuple(sorted(reports))
    return Repeats(
        seeds,
        tuple(reports[seed]["accuracy"] for seed in seeds),
        tuple(reports[seed]["macro_f1"] for seed in seeds),
    )


def _seed_of(folder: pathlib.Path) -> str:
    """Return the digits of a folder called seed_<n>, empty for another."""
    name, _, number = folder.resolve().name.partition("_")
    return number if name == "seed" and number.isdecimal() else ""
