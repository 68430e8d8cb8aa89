"""The settings of a group side by side, as tables."""

from collections.abc import Callable

from ferjax.documents.table import Table
from ferjax.study.comparison import Comparison, Group
from ferjax.study.numbers_shown import (
    NONE,
    show_difference,
    show_interval,
    show_mean_and_std,
    show_p,
    show_percent,
    show_reference,
)
from ferjax.study.paired_tests import Difference
from ferjax.study.summary import Summary

_TESTED = (
    "setting", "seeds", "difference, 95% t interval", "p seeds", "corrected",
    "by images, 95% interval", "p images", "corrected",
)  # fmt: skip


def tabulate_group(group: Group) -> list[Table]:
    """Tabulate a group: the scores, and where there are several settings, how each differs from the baseline."""
    if not group.comparisons:
        return [tabulate_scores(group)]
    return [
        tabulate_scores(group),
        _tabulate_differences(group, "accuracy", lambda comparison: (comparison.seeds, comparison.images)),
        _tabulate_differences(group, "macro F1", lambda comparison: (comparison.f1_seeds, comparison.f1_images)),
        tabulate_changes(group),
    ]


def tabulate_scores(group: Group) -> Table:
    """Tabulate the scores of every setting of a group, with the published ones beside them where there are any."""
    columns: list[tuple[str, Callable[[Summary], str]]] = [
        ("setting", lambda s: s.name),
        ("seeds", lambda s: str(len(s.seeds))),
        ("accuracy", lambda s: show_mean_and_std(s.get("accuracy"))),
        ("95% t interval", lambda s: show_interval(s.get("accuracy"))),
        ("s.e.", lambda s: show_percent(s.get("accuracy").description.standard_error)),
        ("macro F1", lambda s: show_mean_and_std(s.get("macro_f1"))),
        ("weighted F1", lambda s: show_mean_and_std(s.get("weighted_f1"))),
        ("NLL (nats)", lambda s: show_mean_and_std(s.get("loss"))),
        ("ECE", lambda s: show_mean_and_std(s.get("calibration_error"))),
    ]
    if group.reference and any("mean" in summary.get("accuracy").reference for summary in group.members):
        columns.insert(3, (group.reference.title, lambda s: show_reference(s.get("accuracy"))))
    images = group.count_images()
    if images is None:
        columns.insert(1, ("images", lambda s: f"{s.setting.images:,}"))
    if any(_has_copies(summary) for summary in group.members):
        columns.append(("without copies", _describe_without_copies))
    return Table(
        tuple(name for name, _ in columns),
        tuple(tuple(show(summary) for _, show in columns) for summary in group.members),
        f"Scores on the {group.split} split{'' if images is None else f', {images:,} images'}, mean ± standard "
        "deviation over the seeds",
        words=("setting",),
    )


def _has_copies(summary: Summary) -> bool:
    return any(score.metric == "accuracy_without_copies" for score in summary.scores)


def _describe_without_copies(summary: Summary) -> str:
    return show_mean_and_std(summary.get("accuracy_without_copies")) if _has_copies(summary) else NONE


def _tabulate_differences(
    group: Group, score: str, tests_of: Callable[[Comparison], tuple[Difference, Difference]]
) -> Table:
    """Tabulate each setting's difference from the baseline, with the tests over seeds and over images."""
    rows = []
    for comparison in group.comparisons:
        seeds, images = tests_of(comparison)
        rows.append((comparison.name, str(seeds.n), *_show_test(seeds), *_show_test(images)))
    caption = f"Difference of {score} to {group.baseline.name}, {group.split} split"
    return Table(_TESTED, tuple(rows), caption, words=("setting",))


def _show_test(test: Difference) -> tuple[str, str, str]:
    interval = "" if test.low is None else f", {show_difference(test.low)} to {show_difference(test.high)}"
    return f"{show_difference(test.mean)}{interval}", show_p(test.p), show_p(test.p_corrected)


def tabulate_changes(group: Group) -> Table:
    """Tabulate what each setting changes in the baseline, and why a test is missing or to be read with care."""
    return Table(
        ("setting", "changes, remarks"),
        tuple((comparison.name, _remark(comparison)) for comparison in group.comparisons),
        f"What differs from {group.baseline.name}, {group.split} split",
        words=("setting", "changes, remarks"),
    )


def _remark(comparison: Comparison) -> str:
    remarks = [*comparison.changes] or ["nothing changed but what makes no difference"]
    remarks += [f"seeds: {comparison.seeds.note}"] if comparison.seeds.note else []
    remarks += [f"images: {comparison.images.note}"] if comparison.images.note else []
    return "; ".join(remarks)
