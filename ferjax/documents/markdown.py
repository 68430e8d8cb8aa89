"""Tables and text as Markdown."""

import re
from collections.abc import Iterable

from ferjax.documents.table import Table
from ferjax.documents.words import to_line


def to_markdown(table: Table) -> str:
    """Write a table in Markdown, below its caption where it has one."""
    rule = "|".join("---" if words else "---:" for words in table.list_words())
    caption = [f"**{escape_markdown(table.caption)}**", ""] if table.caption else []
    lines = [*caption, _join(map(escape_markdown, table.header)), f"|{rule}|"]
    for row in table.mark_cells():
        lines.append(_join(f"**{escape_markdown(cell)}**" if strong else escape_markdown(cell) for cell, strong in row))
    return "\n".join(lines) + "\n"


def _join(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape_markdown(text: str) -> str:
    """Escape every character that means something in Markdown, and what would break the line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", to_line(text))
