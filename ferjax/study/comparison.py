"""Settings side by side: the groups that can be compared, their baselines, and the paired tests."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ferjax.errors import UserError
from ferjax.study.paired_tests import Difference, compare_images, compare_macro_f1, compare_seeds, correct_holm
from ferjax.study.runs import find_changes, find_mismatch, list_changes
from ferjax.study.summary import Summary

BASELINE = "optimal"
# The tests of a comparison, each corrected for the comparisons of its group.
TESTS = ("seeds", "images", "f1_seeds", "f1_images")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A setting against its group's baseline; differences are of accuracy and of macro F1, both 0..1."""

    name: str
    changes: tuple[str, ...]
    seeds: Difference
    images: Difference
    f1_seeds: Difference
    f1_images: Difference


@dataclasses.dataclass(frozen=True)
class Group:
    """The settings that were evaluated on one split, the baseline first; `reason` says why it is the baseline."""

    split: str
    baseline: Summary
    reason: str
    members: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]


def compare_settings(summaries: Sequence[Summary], baseline: str | None) -> tuple[Group, ...]:
    """Groups settings by the evaluated split and compares each with its group's baseline.

    That is the one named `baseline` ('optimal' unless said otherwise), else one whose config is the same, else the
    first. Raises UserError for a baseline that was asked for and isn't there.
    """
    named, why = _find_named(summaries, baseline)
    splits = list(dict.fromkeys(summary.setting.split for summary in summaries))
    # The test split is what counts.
    splits.sort(key=lambda split: split != "test")
    return tuple(
        _compare_group(split, [summary for summary in summaries if summary.setting.split == split], named, why)
        for split in splits
    )


def _find_named(summaries: Sequence[Summary], baseline: str | None) -> tuple[Summary | None, str]:
    """The setting to compare with, None for no default, and why it is that."""
    wanted = baseline or BASELINE
    for name_of in (lambda s: s.name, lambda s: s.name.split("/")[-1]):
        found = [summary for summary in summaries if name_of(summary) == wanted]
        if len(found) == 1:
            return found[0], "the default" if baseline is None else "as named"
        if found and baseline is None:
            found.sort(key=lambda s: s.setting.split != "test")
            return found[0], f"the default, the first of {len(found)} settings called {BASELINE}"
    if baseline is None:
        return None, ""
    names = ", ".join(summary.name for summary in summaries)
    raise UserError(f"--baseline={baseline} is not one setting of this study: choose one of {names}")


def _compare_group(split: str, members: list[Summary], named: Summary | None, why: str) -> Group:
    baseline, reason = _choose_baseline(members, named, why)
    others = [summary for summary in members if summary is not baseline]
    comparisons = [_compare(summary, baseline) for summary in others]
    for test in TESTS:
        found: list[Difference] = [getattr(comparison, test) for comparison in comparisons]
        corrected = correct_holm([difference.p for difference in found])
        comparisons = [
            _replace(comparison, test, dataclasses.replace(difference, p_corrected=p))
            for comparison, difference, p in zip(comparisons, found, corrected, strict=True)
        ]
    return Group(split, baseline, reason, (baseline, *others), tuple(comparisons))


def _replace(comparison: Comparison, test: str, difference: Difference) -> Comparison:
    changed: dict[str, Any] = {test: difference}
    return dataclasses.replace(comparison, **changed)


def _choose_baseline(members: list[Summary], named: Summary | None, why: str) -> tuple[Summary, str]:
    if named is None:
        return members[0], f"the first setting, since none is called {BASELINE}"
    if any(summary is named for summary in members):
        return named, why
    for summary in members:
        if not find_changes(named.setting.config, summary.setting.config):
            return summary, f"the same config as {named.name}, which was evaluated on the {named.setting.split} split"
    return members[0], f"the first setting, since none of this split has the config of {named.name}"


def _compare(ours: Summary, baseline: Summary) -> Comparison:
    mismatch = find_mismatch(ours.setting.runs[0], baseline.setting.runs[0])
    over_seeds = [_compare_over_seeds(ours, baseline, metric, mismatch) for metric in ("accuracy", "macro_f1")]
    if mismatch:
        over_images = [Difference(0, None, None, None, None, note=f"not comparable: evaluated on {mismatch}")] * 2
    else:
        over_images = [
            compare_images(ours.get_correctness(), baseline.get_correctness()),
            compare_macro_f1(
                ours.setting.runs[0].labels, ours.get_answers(), baseline.get_answers(), len(ours.setting.classes)
            ),
        ]
    changes = list_changes(baseline.setting, ours.setting)
    return Comparison(ours.name, changes, over_seeds[0], over_images[0], over_seeds[1], over_images[1])


def _compare_over_seeds(ours: Summary, baseline: Summary, metric: str, mismatch: str) -> Difference:
    common = sorted(set(ours.seeds) & set(baseline.seeds))
    values = [
        np.array([dict(zip(summary.seeds, summary.get(metric).values, strict=True))[seed] for seed in common])
        for summary in (ours, baseline)
    ]
    difference = compare_seeds(*values)
    if not mismatch:
        return difference
    notes = [difference.note] if difference.note else []
    return dataclasses.replace(difference, note="; ".join([*notes, f"evaluated on {mismatch}"]))
