"""The report on a run as a table for the terminal, and as JSON, Markdown and CSV files."""

import json
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ferjax.documents.aligned_text import to_text
from ferjax.documents.csv_columns import to_csv
from ferjax.documents.markdown import to_markdown
from ferjax.documents.table import Table
from ferjax.errors import UserError
from ferjax.files import write_json, write_text
from ferjax.report.scores import Report
from ferjax.workdir import REPORT_FILE

# Columns that do not change their width from run to run, so that several tables on a terminal stand in line.
_LEAST_WIDTHS = (10, 9, 7, 7, 8)


class _Line(NamedTuple):
    """One class, or one mean over the classes."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


def write_report(workdir: pathlib.Path, report: Report) -> list[pathlib.Path]:
    """Write report.md, report.json and report.csv, each whole or not at all, and return their paths."""
    paths = [workdir / "report.md", workdir / REPORT_FILE, workdir / "report.csv"]
    write_text(paths[0], _to_markdown(report))
    write_json(paths[1], report, indent=2)
    write_text(paths[2], _to_csv(report))
    return paths


def read_report(path: pathlib.Path) -> Report:
    """Read report.json. Raises UserError for a file that is missing or broken."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); make it again with 'python -m ferjax.evaluate --workdir {path.parent}'"
        ) from None
    return report


def standard_error(report: Report) -> float:
    """Compute the standard error of the accuracy of n independent images, sqrt(p (1 - p) / n)."""
    return math.sqrt(report["accuracy"] * (1 - report["accuracy"]) / report["n"])


def format_table(report: Report) -> str:
    """Write the report as text for the terminal, scores in percent."""
    table = _tabulate_scores(report, "", "{:.1%}".format)
    lines = [f"{report['split']} split, {report['n']:,} images", ""]
    lines += [to_text(table, gap=1, least_widths=_LEAST_WIDTHS), ""]
    lines.append(f"accuracy  {report['accuracy']:.1%} ± {standard_error(report):.1%} (standard error)")
    lines.append(f"macro F1  {report['macro_f1']:.1%}")
    if sentence := describe_copies(report):
        lines.append(sentence)
    return "\n".join(lines)


def describe_copies(report: Report) -> str:
    """Say what the scores are without the images that training holds a copy of; empty where there is no such image."""
    rest = report["without_copies"]
    if rest is None or rest["n"] == report["n"]:
        return ""
    copies = report["n"] - rest["n"]
    which = "the image" if copies == 1 else f"the {copies:,} images"
    return (
        f"accuracy without {which} that training holds a copy of: {rest['accuracy']:.1%}, "
        f"macro F1 {rest['macro_f1']:.1%}"
    )


def _list_lines(report: Report) -> list[_Line]:
    """List every class, then the macro and the weighted mean."""
    lines = [
        _Line(name, scores["precision"], scores["recall"], scores["f1"], scores["support"])
        for name, scores in report["per_class"].items()
    ]
    macro = (report["macro_precision"], report["macro_recall"], report["macro_f1"])
    weighted = (report["weighted_precision"], report["weighted_recall"], report["weighted_f1"])
    return [*lines, _Line("macro", *macro, report["n"]), _Line("weighted", *weighted, report["n"])]


def _tabulate_scores(report: Report, first: str, show: Callable[[float], str]) -> Table:
    rows = [
        (line.name, show(line.precision), show(line.recall), show(line.f1), f"{line.images:,}")
        for line in _list_lines(report)
    ]
    return Table((first, "precision", "recall", "F1", "images"), tuple(rows), words=(first,))


def _tabulate_confusion(report: Report) -> Table:
    first = "true \\ predicted"
    rows = [
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(report["per_class"], report["confusion"], strict=True)
    ]
    diagonal = frozenset((i, i + 1) for i in range(len(rows)))
    return Table((first, *report["per_class"]), tuple(rows), words=(first,), strong=diagonal)


def _to_markdown(report: Report) -> str:
    lines = [
        f"# Report: {report['split']} split, {report['n']:,} images",
        "",
        f"Accuracy **{report['accuracy']:.2%}** ± {standard_error(report):.2%} (standard error), "
        f"macro F1 **{report['macro_f1']:.2%}**, loss {report['loss']:.4f}.",
        "",
        to_markdown(_tabulate_scores(report, "class", "{:.2%}".format)),
    ]
    if sentence := describe_copies(report):
        lines += [f"{sentence[0].upper()}{sentence[1:]}.", ""]
    lines += [
        "macro: mean over the classes. weighted: mean weighted by the images of each class.",
        "",
        "## Confusion matrix",
        "",
        "Rows are true classes, columns predicted ones; images.",
        "",
        to_markdown(_tabulate_confusion(report)),
    ]
    return "\n".join(lines)


def _to_csv(report: Report) -> str:
    """Write a line for each class and each mean, and last a line 'all' for the split as a whole."""
    lines: list[tuple[object, ...]] = [(*line, "", "") for line in _list_lines(report)]
    lines.append(("all", "", "", "", report["n"], report["accuracy"], report["loss"]))
    header = ("class", "precision", "recall", "f1", "support", "accuracy", "loss")
    columns: Mapping[str, object] = dict(zip(header, zip(*lines, strict=True), strict=True))
    return to_csv(columns)
