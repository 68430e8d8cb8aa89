"""Settings side by side: the groups that can be compared, their baselines, and the paired tests."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ferjax.errors import UserError
from ferjax.study.differences import find_changes, find_mismatch, list_changes
from ferjax.study.paired_tests import Difference, compare_images, compare_macro_f1, compare_seeds, correct_holm
from ferjax.study.reference import Reference
from ferjax.study.summary import Summary

# The tests of a comparison, each corrected for the comparisons of its group.
TESTS = ("seeds", "images", "f1_seeds", "f1_images")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A setting against the baseline of its group; differences are of accuracy and of macro F1, both 0..1."""

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

    @property
    def reference(self) -> Reference | None:
        """Return what the settings are set beside, which is the same for all of them."""
        return self.baseline.reference

    def count_images(self) -> int | None:
        """Count the images that the settings were evaluated on; None where they differ in that."""
        counts = {summary.setting.images for summary in self.members}
        return counts.pop() if len(counts) == 1 else None


def compare_settings(
    summaries: Sequence[Summary], baseline: str | None, default: str | None = None
) -> tuple[Group, ...]:
    """Group settings by the evaluated split and compare each with the baseline of its group.

    The baseline is the setting called `baseline`, or `default` where the user named none; in a group without that
    setting it is one with the same config; and where there is none either, the first. Raises UserError for a baseline
    that the user named and that is not there.
    """
    named, why = _find_named(summaries, baseline, default)
    splits = list(dict.fromkeys(summary.setting.split for summary in summaries))
    # The test split is what counts.
    splits.sort(key=lambda split: split != "test")
    groups = []
    for split in splits:
        members = [summary for summary in summaries if summary.setting.split == split]
        groups.append(_compare_group(split, _choose_baseline(members, named, why, default), members))
    return tuple(groups)


def _find_named(summaries: Sequence[Summary], baseline: str | None, default: str | None) -> tuple[Summary | None, str]:
    """Find the setting to compare with, None where no setting has the default's name, and say why it is that one."""
    wanted = baseline or default
    # By the whole name, which may hold names of parent folders, before its last part alone.
    for parts in (0, -1):
        found = [summary for summary in summaries if "/".join(summary.name.split("/")[parts:]) == wanted]
        if len(found) == 1:
            return found[0], "the default" if baseline is None else "as named"
        if found and baseline is None:
            found.sort(key=lambda s: s.setting.split != "test")
            return found[0], f"the default, the first of {len(found)} settings called {default}"
    if baseline is None:
        return None, ""
    names = ", ".join(summary.name for summary in summaries)
    raise UserError(f"--baseline={baseline} is not one setting of this study: choose one of {names}")


def _compare_group(split: str, chosen: tuple[Summary, str], members: list[Summary]) -> Group:
    baseline, reason = chosen
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


def _choose_baseline(
    members: list[Summary], named: Summary | None, why: str, default: str | None
) -> tuple[Summary, str]:
    if named is None:
        return members[0], "the first setting" + (f", since none is called {default}" if default else "")
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
