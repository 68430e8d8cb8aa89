"""Tables as Markdown, as LaTeX (booktabs), and as aligned text for the terminal."""

import re
from collections.abc import Sequence

from ferjax.study.comparison import Group
from ferjax.study.paired_tests import Difference
from ferjax.study.tables import Table, count_images, percent, show_p, signed, tabulate_scores

# The last ones are not special, but two hyphens are a dash, and what follows a line's end may be taken for its option.
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "\N{EN DASH}": "--", "-": "{-}",
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip


def to_markdown(table: Table) -> str:
    """A table under its caption."""
    words = ("", *table.left)
    rule = "|".join("---" if i == 0 or name in words else "---:" for i, name in enumerate(table.header))
    lines = [f"**{escape_markdown(table.caption)}**", "", _join(table.header), f"|{rule}|"]
    return "\n".join([*lines, *(_join(row) for row in table.rows)]) + "\n"


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"


def escape_markdown(text: str) -> str:
    """Text as Markdown shows it, every special character escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def to_latex(table: Table, label: str) -> str:
    """A table environment with booktabs' rules, shrunk to the line where it is too wide; needs graphicx and T1."""
    columns = "".join("l" if i == 0 or name in table.left else "r" for i, name in enumerate(table.header))
    # Words that may be long get lines of their own within their column.
    columns = columns[0] + columns[1:].replace("l", "p{0.5\\textwidth}")
    body = [" & ".join(escape_latex(cell) for cell in row) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape_latex(table.caption)}}}",
            rf"\label{{tab:{re.sub(r'[^a-zA-Z0-9]+', '-', label)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(escape_latex(name) for name in table.header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Text as LaTeX shows it, every special character escaped, and minus signs as such."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub(r"(^| )\{-\}(?=\d)", r"\1$-$", escaped)


def format_group(group: Group) -> str:
    """A group as one compact table for the terminal."""
    comparisons = {comparison.name: comparison for comparison in group.comparisons}
    wide = tabulate_scores(group)
    shown = ("setting", "images", "seeds", "accuracy", "report", "95% t interval")
    kept = [i for i, name in enumerate(wide.header) if name in shown]
    header = [*(wide.header[i] for i in kept), "macro F1", "difference", "p seeds (corrected)", "p images (corrected)"]
    rows = []
    for summary, cells in zip(group.members, wide.rows, strict=True):
        row = [cells[i] for i in kept] + [percent(summary.get("macro_f1").description.mean)]
        if (comparison := comparisons.get(summary.name)) is None:
            row += ["baseline", "", ""]
        else:
            over_seeds, over_images = comparison.seeds, comparison.images
            difference = over_images.mean if over_seeds.mean is None else over_seeds.mean
            row += [signed(difference), _show_both(over_seeds), _show_both(over_images)]
        rows.append(row)
    images = count_images(group)
    size = "" if images is None else f", {images:,} images"
    title = f"{group.split} split{size}, baseline {group.baseline.name} ({group.reason}); percent"
    return f"{title}\n\n{_align([header, *rows])}"


def _show_both(test: Difference) -> str:
    return show_p(test.p) if test.p is None else f"{show_p(test.p)} ({show_p(test.p_corrected)})"


def _align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
