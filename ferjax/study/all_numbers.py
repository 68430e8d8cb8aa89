"""Every number of a study, with every digit: as tidy CSV and as JSON."""

import csv
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any

from ferjax.study.comparison import Comparison, Group
from ferjax.study.paired_tests import CONFIDENCE, RESAMPLES, RESAMPLES_F1, Difference
from ferjax.study.sentences import describe_basis, describe_group
from ferjax.study.study import Study
from ferjax.study.summary import Summary

_COLUMNS = ("setting", "split", "metric", "class", "statistic", "value", "reference")


def write_csv(study: Study) -> str:
    """Write a line for each number: statistics and seeds of every score, then the differences from the baseline."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for group in study.groups:
        writer.writerows(_list_lines(group))
    return text.getvalue()


def _list_lines(group: Group) -> Iterator[tuple[object, ...]]:
    for summary in group.members:
        for score in summary.scores:
            place = (summary.name, group.split, score.metric, score.class_name)
            for statistic, value in dataclasses.asdict(score.description).items():
                yield (*place, statistic, _to_cell(value), _to_cell(score.reference.get(statistic)))
            for seed, value in zip(summary.seeds, score.values.tolist(), strict=True):
                yield (*place, f"seed_{seed}", _to_cell(value), "")
    for comparison in group.comparisons:
        for metric, kind, test in _list_tests(comparison):
            for statistic, value in dataclasses.asdict(test).items():
                place = (comparison.name, group.split, f"{metric}_difference_over_{kind}", "")
                yield (*place, statistic, _to_cell(value), "")


def _list_tests(comparison: Comparison) -> list[tuple[str, str, Difference]]:
    """List every test with its score and what it is over."""
    return [
        ("accuracy", "seeds", comparison.seeds),
        ("accuracy", "images", comparison.images),
        ("macro_f1", "seeds", comparison.f1_seeds),
        ("macro_f1", "images", comparison.f1_images),
    ]


def _to_cell(value: float | int | str | None) -> str:
    """Return a number as text with every digit.

    As numbers, the counts of a column that also has shares would become fractions.
    """
    return "" if value is None else str(value)


def collect_numbers(study: Study) -> dict[str, Any]:
    """Collect what report.json holds."""
    return {
        "confidence": CONFIDENCE,
        "bootstrap_resamples": {"accuracy": RESAMPLES, "macro_f1": RESAMPLES_F1},
        "groups": [
            {
                "split": group.split,
                "images": group.count_images(),
                "baseline": group.baseline.name,
                "baseline_reason": group.reason,
                "settings": {summary.name: _describe(summary) for summary in group.members},
                "comparisons": {comparison.name: _compare(comparison) for comparison in group.comparisons},
                "said": describe_group(group),
            }
            for group in study.groups
        ],
        "unfinished": [os.fspath(run) for run in study.unfinished],
        "notes": list(study.notes),
    }


def _compare(comparison: Comparison) -> dict[str, Any]:
    said: dict[str, Any] = {"changes": list(comparison.changes)}
    for metric, kind, test in _list_tests(comparison):
        said.setdefault(metric, {})[f"over_{kind}"] = dataclasses.asdict(test)
    return said


def _describe(summary: Summary) -> dict[str, Any]:
    merged = summary.merge_calibrations()
    overall: dict[str, Any] = {}
    per_class: dict[str, Any] = {name: {} for name in summary.setting.classes}
    for score in summary.scores:
        of_seed = {str(seed): value for seed, value in zip(summary.seeds, score.values.tolist(), strict=True)}
        said = {**dataclasses.asdict(score.description), "seeds": of_seed, "reference": dict(score.reference) or None}
        (per_class[score.class_name] if score.class_name else overall)[score.metric] = said
    return {
        "config": summary.setting.config,
        "runs": {str(run.seed): os.fspath(run.folder) for run in summary.setting.runs},
        "data": dataclasses.asdict(summary.setting.source),
        "images": summary.setting.images,
        "classes": list(summary.setting.classes),
        "copies_in_training": summary.copies,
        "measured_on": describe_basis(summary.setting),
        "departures_from_report": list(summary.departures),
        "scores": overall,
        "per_class": per_class,
        "confusion": {
            str(seed): matrix for seed, matrix in zip(summary.seeds, summary.confusions.tolist(), strict=True)
        },
        "calibration": {
            "count": merged.count.tolist(),
            "confidence": merged.confidence.tolist(),
            "correct": merged.correct.tolist(),
        },
    }
