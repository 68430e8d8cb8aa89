"""The scores of a setting: of every seed, and described over the seeds."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from ferjax.report import Report, create_report
from ferjax.scores import SCORES
from ferjax.scores.calibration import Calibration, calibrate
from ferjax.study.paired_tests import Description, describe
from ferjax.study.reference import Reference
from ferjax.study.runs import Run, Setting

PER_CLASS: tuple[Literal["precision", "recall", "f1"], ...] = ("precision", "recall", "f1")
# Every other score, with how it is called; those that are not shares are not shown in percent.
OVERALL = {
    **{name: score.title for name, score in SCORES.items()},
    "loss": "NLL (nats)",
    "calibration_error": "ECE",
    "accuracy_without_copies": "accuracy without copies",
    "macro_f1_without_copies": "macro F1 without copies",
}
NOT_IN_PERCENT = tuple(name for name, score in SCORES.items() if score.unit != "%")


@dataclasses.dataclass(frozen=True)
class Score:
    """One score: `values` has an entry for each seed, `reference` the published figures by statistic."""

    metric: str
    class_name: str  # empty for a score of the whole split
    values: Float64[np.ndarray, " seeds"]
    description: Description
    reference: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is known of a setting; `confusions` has a matrix for each seed, whose rows are true classes."""

    setting: Setting
    slug: str  # the name as a part of a file's name
    scores: tuple[Score, ...]
    confusions: Int64[np.ndarray, "seeds c c"]
    calibrations: tuple[Calibration, ...]
    copies: int | None  # evaluated images that training holds a copy of; None where this is unknown
    reference: Reference | None
    departures: tuple[str, ...]  # what was measured differently from the reference

    @property
    def name(self) -> str:
        """Return the name of the setting."""
        return self.setting.name

    @property
    def seeds(self) -> list[int]:
        """List the seeds of the runs."""
        return [run.seed for run in self.setting.runs]

    def get(self, metric: str, class_name: str = "") -> Score:
        """Return a score of the whole split, or of one class."""
        return next(score for score in self.scores if (score.metric, score.class_name) == (metric, class_name))

    def merge_calibrations(self) -> Calibration:
        """Put the answers of all seeds together."""
        return functools.reduce(operator.add, self.calibrations)

    def get_correctness(self) -> Float64[np.ndarray, " n"]:
        """Compute the share of the seeds that answered right, for each image."""
        right = self.get_answers() == self.setting.runs[0].labels
        share: Float64[np.ndarray, " n"] = right.mean(axis=0, dtype=np.float64)
        return share

    def get_answers(self) -> Int64[np.ndarray, "seeds n"]:
        """List the class that each seed's network answers for each image."""
        return np.array([run.probabilities.argmax(axis=1) for run in self.setting.runs], np.int64)


def summarize_setting(setting: Setting, slug: str, reference: Reference | None = None) -> Summary:
    """Score every run of a setting and describe each score over the seeds; `slug` is for the names of its files."""
    reports = [
        create_report(run.labels, run.probabilities, run.split, classes=run.classes, copied=run.copied)
        for run in setting.runs
    ]
    calibrations = tuple(calibrate(run.labels, run.probabilities) for run in setting.runs)
    per_run = [_list_values(*pair) for pair in zip(reports, calibrations, strict=True)]
    # Runs of an older version do not know of copies: a score without copies that some runs lack is left out.
    keys = [key for key in per_run[0] if all(key in values for values in per_run)]
    scores = []
    for metric, class_name in keys:
        values = np.array([of_run[metric, class_name] for of_run in per_run])
        published = {} if reference is None else reference.look_up(setting, metric, class_name)
        scores.append(Score(metric, class_name, values, describe(values), published))
    return Summary(
        setting,
        slug,
        tuple(scores),
        np.array([report["confusion"] for report in reports], np.int64),
        calibrations,
        _count_copies(setting.runs[0]),
        reference,
        () if reference is None else tuple(reference.find_departures(setting)),
    )


def _list_values(report: Report, calibration: Calibration) -> dict[tuple[str, str], float]:
    """List every score of one run, by metric and class."""
    of_split: dict[str, float] = {name: report[name] for name in OVERALL if name in report}  # type: ignore[literal-required]
    of_split["calibration_error"] = calibration.error
    if rest := report["without_copies"]:
        of_split |= {"accuracy_without_copies": rest["accuracy"], "macro_f1_without_copies": rest["macro_f1"]}
    values = {(metric, ""): value for metric, value in of_split.items()}
    for class_name, scores in report["per_class"].items():
        values |= {(metric, class_name): scores[metric] for metric in PER_CLASS}
    return values


def _count_copies(run: Run) -> int | None:
    return None if run.copied is None else int(run.copied.sum())
