"""A run's report as a table for the terminal, and as JSON, Markdown and CSV files."""

import json
import math
import pathlib

from ferjax.errors import UserError
from ferjax.report.files import to_csv, write_text
from ferjax.report.scores import Report

SCORES = ("precision", "recall", "f1")


def write_report(workdir: pathlib.Path, report: Report) -> None:
    """Writes report.json, report.md and report.csv; each appears whole or not at all."""
    write_text(workdir / "report.json", json.dumps(report, indent=2) + "\n")
    write_text(workdir / "report.md", _to_markdown(report))
    write_text(workdir / "report.csv", _report_csv(report))


def read_report(path: pathlib.Path) -> Report:
    """Reads report.json. Raises UserError for one that is missing or broken."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); make it again with 'python -m ferjax.evaluate --workdir {path.parent}'"
        ) from None
    return report


def standard_error(report: Report) -> float:
    """Standard error of the accuracy of n independent images: sqrt(p (1 - p) / n)."""
    return math.sqrt(report["accuracy"] * (1 - report["accuracy"]) / report["n"])


def format_table(report: Report) -> str:
    """The report as a table for the terminal, scores in percent."""
    lines = [f"{report['split']} split, {report['n']:,} images", ""]
    width = max(10, *(len(name) + 1 for name in report["per_class"]))
    lines.append(f"{'':<{width}}{'precision':>10}{'recall':>8}{'F1':>8}{'images':>9}")
    for name, precision, recall, f1, support in _score_rows(report):
        lines.append(f"{name:<{width}}{precision:>10.1%}{recall:>8.1%}{f1:>8.1%}{support:>9,}")
    lines += ["", f"accuracy  {report['accuracy']:.1%} ± {standard_error(report):.1%} (standard error)"]
    lines.append(f"macro F1  {report['macro_f1']:.1%}")
    if said := describe_copies(report):
        lines.append(said)
    return "\n".join(lines)


def describe_copies(report: Report) -> str:
    """A line on the scores without the images that training holds a copy of; empty where it holds none."""
    rest = report["without_copies"]
    if rest is None or rest["n"] == report["n"]:
        return ""
    copies = report["n"] - rest["n"]
    which = "the image" if copies == 1 else f"the {copies:,} images"
    return (
        f"accuracy without {which} that training holds a copy of: {rest['accuracy']:.1%}, "
        f"macro F1 {rest['macro_f1']:.1%}"
    )


def _score_rows(report: Report) -> list[tuple[str, float, float, float, int]]:
    """Name, precision, recall, F1 and images of every class, then of the macro and the weighted mean."""
    rows = [
        (name, scores["precision"], scores["recall"], scores["f1"], scores["support"])
        for name, scores in report["per_class"].items()
    ]
    rows.append(("macro", report["macro_precision"], report["macro_recall"], report["macro_f1"], report["n"]))
    rows.append(
        ("weighted", report["weighted_precision"], report["weighted_recall"], report["weighted_f1"], report["n"])
    )
    return rows


def _to_markdown(report: Report) -> str:
    lines = [
        f"# Report: {report['split']} split, {report['n']:,} images",
        "",
        f"Accuracy **{report['accuracy']:.2%}** ± {standard_error(report):.2%} (standard error), "
        f"macro F1 **{report['macro_f1']:.2%}**, loss {report['loss']:.4f}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, precision, recall, f1, support in _score_rows(report):
        lines.append(f"| {name} | {precision:.2%} | {recall:.2%} | {f1:.2%} | {support:,} |")
    if said := describe_copies(report):
        lines += ["", f"{said[0].upper()}{said[1:]}."]
    lines += [
        "",
        "macro: mean over the classes. weighted: mean weighted by the images of each class.",
        "",
        "## Confusion matrix",
        "",
        "Rows are true classes, columns predicted ones; images.",
        "",
        f"| true \\ predicted | {' | '.join(report['per_class'])} |",
        f"|---|{'---:|' * len(report['per_class'])}",
    ]
    for i, (name, counts) in enumerate(zip(report["per_class"], report["confusion"], strict=True)):
        cells = [f"**{count:,}**" if i == j else f"{count:,}" for j, count in enumerate(counts)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _report_csv(report: Report) -> str:
    """A line per class and per mean; the last one, 'all', has what belongs to the split as a whole."""
    lines: list[tuple[object, ...]] = [(*scores, "", "") for scores in _score_rows(report)]
    lines.append(("all", "", "", "", report["n"], report["accuracy"], report["loss"]))
    header = ("class", *SCORES, "support", "accuracy", "loss")
    return to_csv(dict(zip(header, zip(*lines, strict=True), strict=True)))
