"""Settings side by side: the groups that can be compared, their baselines, and the paired tests."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ferjax.errors import UserError
from ferjax.study.runs import find_changes, find_mismatch
from ferjax.study.statistics import Difference, compare_images, compare_seeds, correct_holm
from ferjax.study.summary import Summary

BASELINE = "optimal"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A setting against its group's baseline; differences are of accuracy, 0..1."""

    name: str
    changes: tuple[str, ...]
    seeds: Difference
    images: Difference


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
    named = _find_named(summaries, baseline)
    splits = list(dict.fromkeys(summary.setting.split for summary in summaries))
    # The test split is what counts.
    splits.sort(key=lambda split: split != "test")
    return tuple(
        _compare_group(split, [summary for summary in summaries if summary.setting.split == split], named)
        for split in splits
    )


def _find_named(summaries: Sequence[Summary], baseline: str | None) -> Summary | None:
    wanted = baseline or BASELINE
    for name_of in (lambda s: s.name, lambda s: s.name.split("/")[-1]):
        found = [summary for summary in summaries if name_of(summary) == wanted]
        if len(found) == 1:
            return found[0]
    if baseline is None:
        return None
    names = ", ".join(summary.name for summary in summaries)
    raise UserError(f"--baseline={baseline} is not one setting of this study: choose one of {names}")


def _compare_group(split: str, members: list[Summary], named: Summary | None) -> Group:
    baseline, reason = _choose_baseline(members, named)
    others = [summary for summary in members if summary is not baseline]
    comparisons = [_compare(summary, baseline) for summary in others]
    corrected = {
        kind: correct_holm([getattr(comparison, kind).p for comparison in comparisons]) for kind in ("seeds", "images")
    }
    comparisons = [
        dataclasses.replace(
            comparison,
            seeds=dataclasses.replace(comparison.seeds, p_corrected=over_seeds),
            images=dataclasses.replace(comparison.images, p_corrected=over_images),
        )
        for comparison, over_seeds, over_images in zip(
            comparisons, corrected["seeds"], corrected["images"], strict=True
        )
    ]
    return Group(split, baseline, reason, (baseline, *others), tuple(comparisons))


def _choose_baseline(members: list[Summary], named: Summary | None) -> tuple[Summary, str]:
    if named is None:
        return members[0], f"the first setting, since none is called {BASELINE}"
    if any(summary is named for summary in members):
        return named, "as named"
    for summary in members:
        if not find_changes(named.setting.config, summary.setting.config):
            return summary, f"the same config as {named.name}, which was evaluated on the {named.setting.split} split"
    return members[0], f"the first setting, since none of this split has the config of {named.name}"


def _compare(ours: Summary, baseline: Summary) -> Comparison:
    common = sorted(set(ours.seeds) & set(baseline.seeds))
    accuracies = [
        np.array([dict(zip(summary.seeds, summary.get("accuracy").values, strict=True))[seed] for seed in common])
        for summary in (ours, baseline)
    ]
    mismatch = find_mismatch(ours.setting.runs[0], baseline.setting.runs[0])
    if mismatch:
        images = Difference(0, None, None, None, None, note=f"not comparable: evaluated on {mismatch}")
    else:
        images = compare_images(ours.get_correctness(), baseline.get_correctness())
    changes = find_changes(baseline.setting.config, ours.setting.config)
    return Comparison(ours.name, tuple(changes.values()), compare_seeds(*accuracies), images)
