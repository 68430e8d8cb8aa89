"""The table that every document format renders."""

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as text: every cell is what a reader sees, and each format escapes it in its own way.

    `words` names the columns of words, which stand to the left; all others are numbers and stand to the right. In the
    first column words are short names; in any other they may run over several lines. `strong` are the cells, as (row,
    column) from 0, that are set in bold where the format has bold letters.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    words: tuple[str, ...] = ()
    strong: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.header)} columns: {row}")

    def list_words(self) -> list[bool]:
        """Say of every column whether it holds words."""
        return [name in self.words for name in self.header]

    def mark_cells(self) -> Iterator[list[tuple[str, bool]]]:
        """Yield every row as its cells, each with whether it is strong."""
        for i, row in enumerate(self.rows):
            yield [(cell, (i, j) in self.strong) for j, cell in enumerate(row)]
