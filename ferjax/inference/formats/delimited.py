"""Answers as CSV, in the published columns; what a row does not have is empty."""

import csv
import io
from collections.abc import Sequence
from typing import BinaryIO

from ferjax.inference.answers import Answer, Row, list_columns


class CsvWriter:
    """Writes a line for each face, in UTF-8, with every digit of a number."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        # A file name that is not UTF-8 keeps its bytes as escapes.
        self._text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="", write_through=True)
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(list_columns(classes))

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        self._csv.writerows(rows)

    def close(self) -> None:
        self._text.detach()
