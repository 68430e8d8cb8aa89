"""One setting as tables: its scores over the seeds, of the split and of each class, and every seed."""

from collections.abc import Callable, Sequence

from ferjax.documents.table import Table
from ferjax.study.numbers_shown import show_interval, show_statistic
from ferjax.study.summary import OVERALL, PER_CLASS, Score, Summary

_SPREAD = ("mean", "std", "variance", "max", "min")


def tabulate_setting(summary: Summary) -> list[Table]:
    """Tabulate the scores of the split, then each score of the classes, and then every seed."""
    overall = [score for score in summary.scores if not score.class_name]
    caption = f"{summary.name}: the {summary.setting.split} split"
    tables = [_tabulate_spread(summary, caption, "score", overall, _get_label)]
    for metric in PER_CLASS:
        of_metric = [score for score in summary.scores if score.metric == metric]
        caption = f"{summary.name}: {'F1' if metric == 'f1' else metric} of each class"
        tables.append(_tabulate_spread(summary, caption, "class", of_metric, lambda score: score.class_name))
    return [*tables, _tabulate_seeds(summary, overall)]


def _get_label(score: Score) -> str:
    return OVERALL[score.metric]


def _tabulate_spread(
    summary: Summary, caption: str, first: str, scores: Sequence[Score], label: Callable[[Score], str]
) -> Table:
    """Tabulate scores, a row each; a published statistic stands beside ours where it is known for any of them."""
    published = {name for score in scores for name in score.reference}
    title = summary.reference.title if summary.reference else ""
    header = [first, "n"]
    for name in _SPREAD:
        header += [name, title] if name in published else [name]
    header += ["s.e.", "95% t interval"]
    rows = []
    for score in scores:
        row = [label(score), str(score.description.n)]
        for name in _SPREAD:
            row.append(show_statistic(score, name, getattr(score.description, name)))
            if name in published:
                row.append(show_statistic(score, name, score.reference.get(name)))
        row += [show_statistic(score, "std", score.description.standard_error), show_interval(score)]
        rows.append(tuple(row))
    return Table(tuple(header), tuple(rows), caption, words=(first,))


def _tabulate_seeds(summary: Summary, overall: Sequence[Score]) -> Table:
    header = ("seed", *(_get_label(score) for score in overall), *summary.setting.classes, "folder")
    f1 = [score for score in summary.scores if score.metric == "f1"]
    rows = []
    for i, run in enumerate(summary.setting.runs):
        numbers = [show_statistic(score, "mean", float(score.values[i])) for score in (*overall, *f1)]
        rows.append((str(run.seed), *numbers, str(run.folder)))
    caption = f"{summary.name}: every seed; a class's column is its F1"
    return Table(header, tuple(rows), caption, words=("seed", "folder"))
