"""A study as documents to read: Markdown, LaTeX tables, and a page in HTML."""

import pathlib

from ferjax.documents import html_page
from ferjax.documents.latex import to_latex
from ferjax.documents.markdown import escape_markdown, to_markdown
from ferjax.documents.table import Table
from ferjax.study.drawing import Drawings, Drawn
from ferjax.study.group_tables import tabulate_group
from ferjax.study.sentences import describe_group, describe_setting
from ferjax.study.setting_tables import tabulate_setting
from ferjax.study.study import Study


def _get_title(study: Study) -> str:
    names = [summary.name for summary in study.summaries]
    return names[0] if len(names) == 1 else f"{len(names)} settings"


def _describe_runs(study: Study) -> str:
    """Say how many runs there are, and of which data."""
    runs = sum(len(summary.seeds) for summary in study.summaries)
    finished = "1 finished run" if runs == 1 else f"{runs} finished runs"
    if left_out := len(study.unfinished):
        finished += f"; {left_out} not finished and left out"
    sources = dict.fromkeys(summary.setting.source.describe() for summary in study.summaries)
    return f"{finished}. Data: {'; '.join(sources)}."


def write_markdown(study: Study, drawings: Drawings, output: pathlib.Path) -> str:
    """Write a study in Markdown; figures are linked by their paths from the folder `output`."""

    def show(figures: list[Drawn]) -> list[str]:
        links = [(escape_markdown(f.caption), f.path.relative_to(output).as_posix()) for f in figures]
        return [f"![{caption}]({path})\n" for caption, path in links]

    def say(sentences: list[str]) -> list[str]:
        return [f"{escape_markdown(sentence)}\n" for sentence in sentences]

    parts = [f"# Report: {escape_markdown(_get_title(study))}\n", *say([_describe_runs(study)])]
    for group in study.groups:
        parts += [f"## {group.split.capitalize()} split\n", *say(describe_group(group))]
        parts += [*map(to_markdown, tabulate_group(group)), *show(drawings.groups[group.split])]
    if drawings.families:
        parts += ["## Families of settings\n", *show(drawings.families)]
    for summary in study.summaries:
        parts += [f"## {escape_markdown(summary.name)}\n", *say(describe_setting(summary))]
        parts += [*map(to_markdown, tabulate_setting(summary)), *show(drawings.settings[summary.name])]
    if study.notes:
        parts += ["## Remarks\n", "".join(f"- {escape_markdown(note)}\n" for note in study.notes)]
    return "\n".join(parts)


def write_latex(study: Study) -> str:
    """Write the tables of a study in LaTeX."""
    parts = [
        "% Tables for \\input; the preamble needs \\usepackage[T1]{fontenc}, \\usepackage{booktabs} and "
        "\\usepackage{graphicx}.\n"
    ]
    for group in study.groups:
        # A group of one setting has scores only.
        kinds = ("scores", "differences", "macro", "changes")
        parts += [
            to_latex(table, f"{group.split}-{kind}") for kind, table in zip(kinds, tabulate_group(group), strict=False)
        ]
    for summary in study.summaries:
        tables = zip(("overall", "precision", "recall", "f1", "seeds"), tabulate_setting(summary), strict=True)
        parts += [to_latex(table, f"{summary.slug}-{kind}") for kind, table in tables]
    return "\n".join(parts)


def write_html(study: Study, drawings: Drawings) -> str:
    """Write a study as one page in HTML with its figures inside."""

    def show(figures: list[Drawn]) -> str:
        return "".join(html_page.image(figure.path.read_bytes(), figure.caption) for figure in figures)

    def tabulate(tables: list[Table]) -> str:
        return "".join(html_page.paragraph(table.caption) + html_page.to_html(table) for table in tables)

    def say(sentences: list[str]) -> str:
        return "".join(html_page.paragraph(sentence, note=True) for sentence in sentences)

    sections = [
        (
            f"split-{group.split}",
            f"{group.split.capitalize()} split",
            tabulate(tabulate_group(group)) + say(describe_group(group)) + show(drawings.groups[group.split]),
        )
        for group in study.groups
    ]
    if drawings.families:
        sections.append(("families", "Families of settings", show(drawings.families)))
    for summary in study.summaries:
        body = say(describe_setting(summary)) + tabulate(tabulate_setting(summary))
        sections.append((f"setting-{summary.slug}", summary.name, body + show(drawings.settings[summary.name])))
    if study.notes:
        sections.append(("remarks", "Remarks", "".join(html_page.paragraph(note) for note in study.notes)))
    return html_page.document(f"Report: {_get_title(study)}", _describe_runs(study), sections)
