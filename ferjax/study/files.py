"""A study -> report.md, report.csv, report.json, report.tex and report.html."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from ferjax.documents import html_page as page
from ferjax.report import to_csv, write_text
from ferjax.study.comparison import Comparison, Group
from ferjax.study.drawing import Drawings, Drawn
from ferjax.study.paired_tests import CONFIDENCE, RESAMPLES, RESAMPLES_F1, Difference
from ferjax.study.study import Study
from ferjax.study.summary import Summary
from ferjax.study.tables import (
    Table,
    count_images,
    describe_group,
    describe_setting,
    tabulate_changes,
    tabulate_differences,
    tabulate_f1_differences,
    tabulate_scores,
    tabulate_setting,
)
from ferjax.study.text import escape_markdown, to_latex, to_markdown

COLUMNS = ("setting", "split", "metric", "class", "statistic", "value", "reference")


def write_study(study: Study, drawings: Drawings, output: pathlib.Path) -> list[pathlib.Path]:
    """Writes the five files into a folder, each whole or not at all, and returns their paths."""
    texts = {
        "report.md": _to_markdown(study, drawings, output),
        "report.csv": _to_csv(study),
        "report.json": json.dumps(_to_json(study), indent=1, allow_nan=False) + "\n",
        "report.tex": _to_latex(study),
        "report.html": _to_html(study, drawings),
    }
    for name, text in texts.items():
        write_text(output / name, text)
    return [output / name for name in texts]


def _list_tables(group: Group) -> list[Table]:
    compared = (tabulate_differences, tabulate_f1_differences, tabulate_changes) if group.comparisons else ()
    return [tabulate(group) for tabulate in (tabulate_scores, *compared)]


def _title(study: Study) -> str:
    names = [summary.name for summary in study.summaries]
    return names[0] if len(names) == 1 else f"{len(names)} settings"


def _lead(study: Study) -> str:
    runs = sum(len(summary.seeds) for summary in study.summaries)
    finished = "1 finished run" if runs == 1 else f"{runs} finished runs"
    if left_out := len(study.unfinished):
        finished += f"; {left_out} not finished and left out"
    sources = dict.fromkeys(summary.setting.source.describe() for summary in study.summaries)
    return f"{finished}. Data: {'; '.join(sources)}."


def _to_markdown(study: Study, drawings: Drawings, output: pathlib.Path) -> str:
    def show(figures: list[Drawn]) -> list[str]:
        links = [(escape_markdown(f.caption), f.path.relative_to(output).as_posix()) for f in figures]
        return [f"![{caption}]({path})\n" for caption, path in links]

    def say(sentences: list[str]) -> list[str]:
        return [f"{escape_markdown(sentence)}\n" for sentence in sentences]

    parts = [f"# Report: {escape_markdown(_title(study))}\n", *say([_lead(study)])]
    for group in study.groups:
        parts += [f"## {group.split.capitalize()} split\n", *say(describe_group(group))]
        parts += [*map(to_markdown, _list_tables(group)), *show(drawings.groups[group.split])]
    if drawings.families:
        parts += ["## Families of settings\n", *show(drawings.families)]
    for summary in study.summaries:
        parts += [f"## {escape_markdown(summary.name)}\n", *say(describe_setting(summary))]
        parts += [*map(to_markdown, tabulate_setting(summary)), *show(drawings.settings[summary.name])]
    if study.notes:
        parts += ["## Remarks\n", "".join(f"- {escape_markdown(note)}\n" for note in study.notes)]
    return "\n".join(parts)


def _to_latex(study: Study) -> str:
    parts = [
        "% Tables for \\input; the preamble needs \\usepackage[T1]{fontenc}, \\usepackage{booktabs} and "
        "\\usepackage{graphicx}.\n"
    ]
    for group in study.groups:
        parts += [
            to_latex(table, f"{group.split}-{kind}")
            for kind, table in zip(("scores", "differences", "macro", "changes"), _list_tables(group), strict=False)
        ]
    kinds = ("overall", "precision", "recall", "f1", "seeds")
    for summary in study.summaries:
        tables = zip(kinds, tabulate_setting(summary), strict=True)
        parts += [to_latex(table, f"{summary.slug}-{kind}") for kind, table in tables]
    return "\n".join(parts)


def _to_html(study: Study, drawings: Drawings) -> str:
    def show(figures: list[Drawn]) -> str:
        return "".join(page.image(figure.path.read_bytes(), figure.caption) for figure in figures)

    def tabulate(tables: list[Table]) -> str:
        return "".join(
            page.paragraph(table.caption) + page.table(table.header, table.rows, words=table.left) for table in tables
        )

    def say(sentences: list[str]) -> str:
        return "".join(page.paragraph(sentence, note=True) for sentence in sentences)

    sections = [
        (
            f"split-{group.split}",
            f"{group.split.capitalize()} split",
            tabulate(_list_tables(group)) + say(describe_group(group)) + show(drawings.groups[group.split]),
        )
        for group in study.groups
    ]
    if drawings.families:
        sections.append(("families", "Families of settings", show(drawings.families)))
    for summary in study.summaries:
        body = say(describe_setting(summary)) + tabulate(tabulate_setting(summary))
        sections.append((f"setting-{summary.slug}", summary.name, body + show(drawings.settings[summary.name])))
    if study.notes:
        sections.append(("remarks", "Remarks", "".join(page.paragraph(note) for note in study.notes)))
    return page.document(f"Report: {_title(study)}", _lead(study), sections)


def _to_csv(study: Study) -> str:
    """A line a figure: each statistic and each seed of every score, then the differences to the baseline."""
    lines = [line for group in study.groups for line in _list_lines(group)]
    return to_csv(dict(zip(COLUMNS, zip(*lines, strict=True), strict=True)))


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
    """Every test with its score and what it is over."""
    return [
        ("accuracy", "seeds", comparison.seeds),
        ("accuracy", "images", comparison.images),
        ("macro_f1", "seeds", comparison.f1_seeds),
        ("macro_f1", "images", comparison.f1_images),
    ]


def _to_cell(value: float | int | str | None) -> str:
    """Every digit of a number; a column of counts and of shares together would turn all into shares."""
    return "" if value is None else str(value)


def _to_json(study: Study) -> dict[str, Any]:
    return {
        "confidence": CONFIDENCE,
        "bootstrap_resamples": {"accuracy": RESAMPLES, "macro_f1": RESAMPLES_F1},
        "groups": [
            {
                "split": group.split,
                "images": count_images(group),
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
        said = {**dataclasses.asdict(score.description), "seeds": of_seed, "reference": score.reference or None}
        (per_class[score.class_name] if score.class_name else overall)[score.metric] = said
    return {
        "config": summary.setting.config,
        "runs": {str(run.seed): os.fspath(run.folder) for run in summary.setting.runs},
        "data": dataclasses.asdict(summary.setting.source),
        "images": summary.setting.images,
        "classes": list(summary.setting.classes),
        "copies_in_training": summary.copies,
        "measured_on": summary.basis,
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
