"""Tables and text as LaTeX, with the rules of the package booktabs."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ferjax.documents.table import Table

# The last ones are not special characters, but two hyphens make a dash, and brackets or a star after the end of a line
# may be taken for its option.
_CHARACTERS: Mapping[str, str] = MappingProxyType({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "\N{EN DASH}": "--", "-": "{-}",
    "[": "{[}", "]": "{]}", "*": "{*}",
})  # fmt: skip


def to_latex(table: Table, label: str) -> str:
    """Write a table environment, which is shrunk to the width of the line where it is wider.

    The preamble needs the packages booktabs and graphicx, and the font encoding T1.
    """
    rows = [_join(_embolden(*cell) for cell in row) for row in table.mark_cells()]
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape_latex(table.caption)}}}",
            rf"\label{{tab:{re.sub(r'[^a-zA-Z0-9]+', '-', label)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{_describe_columns(table)}}}",
            r"\toprule",
            _join(map(escape_latex, table.header)),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _describe_columns(table: Table) -> str:
    first, *others = table.list_words()
    # Words that may be long run over lines within a column of fixed width.
    return ("l" if first else "r") + "".join("p{0.5\\textwidth}" if words else "r" for words in others)


def _join(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _embolden(cell: str, strong: bool) -> str:
    return rf"\textbf{{{escape_latex(cell)}}}" if strong else escape_latex(cell)


def escape_latex(text: str) -> str:
    """Escape every character that means something in LaTeX, and write the minus sign of a number as one."""
    escaped = "".join(_CHARACTERS.get(character, character) for character in text)
    return re.sub(r"(^| )\{-\}(?=\d)", r"\1$-$", escaped)
