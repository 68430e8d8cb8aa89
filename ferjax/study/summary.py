"""A setting's runs -> its scores, each of every seed and over the seeds."""

import dataclasses
import functools
import operator
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from ferjax.course_report import reference
from ferjax.report import Report, create_report
from ferjax.scores import SCORES
from ferjax.scores.calibration import Calibration, calibrate
from ferjax.study.paired_tests import Description, describe
from ferjax.study.runs import Run, Setting

PER_CLASS: tuple[Literal["precision", "recall", "f1"], ...] = ("precision", "recall", "f1")
# Every other score, with how it is called; all but those in nats are shares, shown in percent.
OVERALL = {
    **{name: score.title for name, score in SCORES.items()},
    "loss": "NLL (nats)",
    "calibration_error": "ECE",
    "accuracy_without_copies": "accuracy without copies",
    "macro_f1_without_copies": "macro F1 without copies",
}
IN_NATS = tuple(name for name, score in SCORES.items() if score.unit == "nats")


@dataclasses.dataclass(frozen=True)
class Score:
    """One score: `values` has an entry a seed, `reference` the report's figures by statistic."""

    metric: str
    class_name: str  # empty for a score of the whole split
    values: Float64[np.ndarray, " seeds"]
    description: Description
    reference: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is known of a setting; confusions are a matrix a seed, rows true classes."""

    setting: Setting
    slug: str  # the name as a part of a file's name
    scores: tuple[Score, ...]
    confusions: Int64[np.ndarray, "seeds c c"]
    calibrations: tuple[Calibration, ...]
    basis: str
    departures: tuple[str, ...]
    copies: int | None  # evaluated images that training holds a copy of; None where nobody looked

    @property
    def name(self) -> str:
        return self.setting.name

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.setting.runs]

    def get(self, metric: str, class_name: str = "") -> Score:
        return next(score for score in self.scores if (score.metric, score.class_name) == (metric, class_name))

    def merge_calibrations(self) -> Calibration:
        """The answers of all seeds together."""
        return functools.reduce(operator.add, self.calibrations)

    def get_correctness(self) -> Float64[np.ndarray, " n"]:
        """Each image's share of seeds that were right."""
        return (self.get_answers() == self.setting.runs[0].labels).mean(axis=0, dtype=np.float64)

    def get_answers(self) -> Int64[np.ndarray, "seeds n"]:
        """The class that each seed's network answers for each image."""
        return np.array([run.probabilities.argmax(axis=1) for run in self.setting.runs], np.int64)


def summarize_setting(setting: Setting, slug: str) -> Summary:
    """Scores every run of a setting and describes each score over the seeds; `slug` is for its files."""
    reports = [
        create_report(run.labels, run.probabilities, run.split, classes=run.classes, copied=run.copied)
        for run in setting.runs
    ]
    calibrations = tuple(calibrate(run.labels, run.probabilities) for run in setting.runs)
    per_run = [_list_values(*pair) for pair in zip(reports, calibrations, strict=True)]
    # Copies may have been looked for in some runs only, of an older version: no statistic over the others.
    keys = [key for key in per_run[0] if all(key in values for values in per_run)]
    scores = [_create_score(setting, *key, np.array([values[key] for values in per_run])) for key in keys]
    return Summary(
        setting,
        slug,
        tuple(scores),
        np.array([report["confusion"] for report in reports], np.int64),
        calibrations,
        reference.describe_basis(setting),
        tuple(reference.find_departures(setting)),
        _count_copies(setting.runs[0]),
    )


def _list_values(report: Report, calibration: Calibration) -> dict[tuple[str, str], float]:
    """Every score of one run, by metric and class."""
    of_split: dict[str, float] = {name: report[name] for name in OVERALL if name in report}  # type: ignore[literal-required]
    of_split["calibration_error"] = calibration.error
    if rest := report["without_copies"]:
        of_split |= {"accuracy_without_copies": rest["accuracy"], "macro_f1_without_copies": rest["macro_f1"]}
    values = {(metric, ""): value for metric, value in of_split.items()}
    for class_name, scores in report["per_class"].items():
        values |= {(metric, class_name): scores[metric] for metric in PER_CLASS}
    return values


def _create_score(setting: Setting, metric: str, class_name: str, values: Float64[np.ndarray, " seeds"]) -> Score:
    return Score(metric, class_name, values, describe(values), reference.look_up(setting, metric, class_name))


def _count_copies(run: Run) -> int | None:
    return None if run.copied is None else int(run.copied.sum())
