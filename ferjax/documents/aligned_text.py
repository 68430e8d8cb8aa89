"""Tables as aligned text, for the terminal."""

from collections.abc import Sequence

from ferjax.documents.table import Table


def to_text(table: Table, *, gap: int = 2, least_widths: Sequence[int] = ()) -> str:
    """Write a table in columns that are as wide as their cells, without its caption and without a newline at the end.

    `gap` is the number of spaces between columns. `least_widths`, where given, says how wide each column is at least.
    """
    lines = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    if least_widths:
        widths = [max(pair) for pair in zip(widths, least_widths, strict=True)]
    columns = list(zip(widths, table.list_words(), strict=True))
    texts = []
    for line in lines:
        cells = [
            cell.ljust(width) if words else cell.rjust(width)
            for cell, (width, words) in zip(line, columns, strict=True)
        ]
        texts.append((" " * gap).join(cells).rstrip())
    return "\n".join(texts)
