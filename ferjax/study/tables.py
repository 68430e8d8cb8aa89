"""What a study says, as tables and sentences that every format renders alike."""

import dataclasses
from collections.abc import Callable, Sequence

from ferjax.course_report.reference import NOTE
from ferjax.study.comparison import Comparison, Group
from ferjax.study.paired_tests import RESAMPLES, RESAMPLES_F1, Difference
from ferjax.study.summary import IN_NATS, OVERALL, PER_CLASS, Score, Summary

NONE = "\N{EN DASH}"
P_SEEDS = (
    "p seeds: paired t test of the scores of the seeds that both settings have. It asks whether another set "
    "of seeds would show the difference, on these same images."
)
P_IMAGES = (
    f"p images: paired bootstrap over the images, for accuracy {RESAMPLES:,} resamples of each image's share of seeds "
    f"that were right, for macro F1 {RESAMPLES_F1:,} resamples in which each seed's is computed anew. It asks "
    "whether another test set would show the difference, with these same trained networks."
)
UNITS = (
    "Scores and differences are in percent, variances in squared percent; deviations divide by n - 1; s.e. is the "
    "standard error of the mean. NLL is the mean negative log-likelihood, ECE the expected calibration error in 15 "
    "bins of confidence."
)
SPREAD = ("mean", "std", "variance", "max", "min")
_TESTED = (
    "setting", "seeds", "difference, 95% t interval", "p seeds", "corrected",
    "by images, 95% interval", "p images", "corrected",
)  # fmt: skip
_NAMES = {"f1": "F1"}


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text; the first column and those in `left` are words, the others figures."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()


def tabulate_scores(group: Group) -> Table:
    """The settings of a group, each with its figures, theirs beside ours."""
    columns: list[tuple[str, Callable[[Summary], str]]] = [
        ("setting", lambda s: s.name),
        ("seeds", lambda s: str(len(s.seeds))),
        ("accuracy", lambda s: _mean_and_std(s.get("accuracy"))),
        ("95% t interval", lambda s: _interval(s.get("accuracy"))),
        ("s.e.", lambda s: percent(s.get("accuracy").description.standard_error)),
        ("macro F1", lambda s: _mean_and_std(s.get("macro_f1"))),
        ("weighted F1", lambda s: _mean_and_std(s.get("weighted_f1"))),
        ("NLL (nats)", lambda s: _mean_and_std(s.get("loss"))),
        ("ECE", lambda s: _mean_and_std(s.get("calibration_error"))),
    ]
    if any("mean" in summary.get("accuracy").reference for summary in group.members):
        columns.insert(3, ("report", lambda s: _reference_mean_and_std(s.get("accuracy"))))
    images = count_images(group)
    if images is None:
        columns.insert(1, ("images", lambda s: f"{s.setting.images:,}"))
    if any(_has_copies(summary) for summary in group.members):
        columns.append(("without copies", _describe_without_copies))
    return Table(
        f"Scores on the {group.split} split{'' if images is None else f', {images:,} images'}, mean ± standard "
        "deviation over the seeds",
        tuple(name for name, _ in columns),
        tuple(tuple(show(summary) for _, show in columns) for summary in group.members),
    )


def count_images(group: Group) -> int | None:
    """How many images a group's settings were evaluated on; None where they differ in that."""
    counts = {summary.setting.images for summary in group.members}
    return counts.pop() if len(counts) == 1 else None


def _has_copies(summary: Summary) -> bool:
    return any(score.metric == "accuracy_without_copies" for score in summary.scores)


def _describe_without_copies(summary: Summary) -> str:
    return _mean_and_std(summary.get("accuracy_without_copies")) if _has_copies(summary) else NONE


def tabulate_differences(group: Group) -> Table:
    """Each setting's difference of accuracy to the baseline, with both tests."""
    return Table(
        f"Difference of accuracy to {group.baseline.name}, {group.split} split",
        _TESTED,
        tuple((comparison.name, *_show(comparison.seeds, comparison.images)) for comparison in group.comparisons),
    )


def tabulate_f1_differences(group: Group) -> Table:
    """Each setting's difference of macro F1 to the baseline, with both tests."""
    return Table(
        f"Difference of macro F1 to {group.baseline.name}, {group.split} split",
        _TESTED,
        tuple((comparison.name, *_show(comparison.f1_seeds, comparison.f1_images)) for comparison in group.comparisons),
    )


def tabulate_changes(group: Group) -> Table:
    """What each setting changes in the baseline, and why a test is missing or to be read with care."""
    return Table(
        f"What differs from {group.baseline.name}, {group.split} split",
        ("setting", "changes, remarks"),
        tuple((comparison.name, _remark(comparison)) for comparison in group.comparisons),
        ("changes, remarks",),
    )


def _show(seeds: Difference, images: Difference) -> tuple[str, ...]:
    return (str(seeds.n), *_show_test(seeds), *_show_test(images))


def _show_test(test: Difference) -> tuple[str, str, str]:
    interval = "" if test.low is None else f", {signed(test.low)} to {signed(test.high)}"
    return f"{signed(test.mean)}{interval}", show_p(test.p), show_p(test.p_corrected)


def _remark(comparison: Comparison) -> str:
    remarks = [*comparison.changes] or ["nothing changed but what makes no difference"]
    remarks += [f"seeds: {comparison.seeds.note}"] if comparison.seeds.note else []
    remarks += [f"images: {comparison.images.note}"] if comparison.images.note else []
    return "; ".join(remarks)


def tabulate_setting(summary: Summary) -> list[Table]:
    """A setting's scores over the seeds, of the split and of each class, and then every seed's."""
    overall = [score for score in summary.scores if not score.class_name]
    tables = [_tabulate(f"{summary.name}: the {summary.setting.split} split", "score", overall, _label)]
    for metric in PER_CLASS:
        of_metric = [score for score in summary.scores if score.metric == metric]
        caption = f"{summary.name}: {_NAMES.get(metric, metric)} of each class"
        tables.append(_tabulate(caption, "class", of_metric, lambda score: score.class_name))
    return [*tables, _tabulate_seeds(summary, overall)]


def _label(score: Score) -> str:
    return OVERALL[score.metric]


def _tabulate(caption: str, first: str, scores: Sequence[Score], label: Callable[[Score], str]) -> Table:
    """A row a score; theirs stand beside ours in the columns of which they give any figure."""
    theirs = {name for score in scores for name in score.reference}
    header = [first, "n"]
    for name in SPREAD:
        header += [name, "report"] if name in theirs else [name]
    header += ["s.e.", "95% t interval"]
    rows = []
    for score in scores:
        row = [label(score), str(score.description.n)]
        for name in SPREAD:
            row.append(_show_statistic(score, name, getattr(score.description, name)))
            if name in theirs:
                row.append(_show_statistic(score, name, score.reference.get(name)))
        row += [_show_statistic(score, "std", score.description.standard_error), _interval(score)]
        rows.append(tuple(row))
    return Table(caption, tuple(header), tuple(rows))


def _tabulate_seeds(summary: Summary, overall: Sequence[Score]) -> Table:
    header = ("seed", *(_label(score) for score in overall), *summary.setting.classes, "folder")
    f1 = [score for score in summary.scores if score.metric == "f1"]
    rows = []
    for i, run in enumerate(summary.setting.runs):
        figures = [_show_statistic(score, "mean", float(score.values[i])) for score in (*overall, *f1)]
        rows.append((str(run.seed), *figures, str(run.folder)))
    caption = f"{summary.name}: every seed; a class's column is its F1"
    return Table(caption, header, tuple(rows), ("folder",))


def describe_setting(summary: Summary) -> list[str]:
    """Sentences on what a setting was measured on, and how that departs from the report's."""
    said = [f"Ours: {summary.basis}."]
    if summary.copies:
        which = "image" if summary.copies == 1 else f"{summary.copies:,} images"
        said.append(f"Without copies: without the {which} that training holds an exact copy of.")
    if summary.departures:
        said.append(f"Not measured as the report's: {'; '.join(summary.departures)}.")
    return said


def describe_group(group: Group) -> list[str]:
    """Sentences that a group's tables need to be read."""
    said = [f"Baseline: {group.baseline.name} ({group.reason}). {UNITS}"]
    if group.comparisons:
        m = len(group.comparisons)
        correction = (
            f"corrected: by Holm's method for the {m} comparisons of this split, separately for each test and score."
            if m > 1
            else "corrected: with one comparison there is nothing to correct."
        )
        said += [P_SEEDS, P_IMAGES, correction]
    if any(score.reference for summary in group.members for score in summary.scores):
        said.append(NOTE)
    return said


def _show_statistic(score: Score, name: str, value: float | None) -> str:
    if value is None:
        return NONE
    if score.metric in IN_NATS:
        return f"{value:.4f}"
    return f"{100 * value:.2f}" if name != "variance" else f"{1e4 * value:.3f}"


def _mean_and_std(score: Score) -> str:
    mean = _show_statistic(score, "mean", score.description.mean)
    return mean if score.description.std is None else f"{mean} ± {_show_statistic(score, 'std', score.description.std)}"


def _reference_mean_and_std(score: Score) -> str:
    if "mean" not in score.reference:
        return NONE
    std = score.reference.get("std")
    return percent(score.reference["mean"]) + ("" if std is None else f" ± {percent(std)}")


def _interval(score: Score) -> str:
    low, high = score.description.t95_low, score.description.t95_high
    if low is None:
        return NONE
    return f"{_show_statistic(score, 'mean', low)} to {_show_statistic(score, 'mean', high)}"


def percent(value: float | None) -> str:
    """A share as percent, without the sign."""
    return NONE if value is None else f"{100 * value:.2f}"


def signed(value: float | None) -> str:
    """A difference of shares in points of percent."""
    return NONE if value is None else f"{100 * value:+.2f}"


def show_p(value: float | None) -> str:
    """A p value with the digits that it has."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"
