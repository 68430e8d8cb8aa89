"""Answers as JSON: one list of objects, or an object a line; what a row does not have is null."""

import json
from collections.abc import Sequence
from typing import BinaryIO

from ferjax.inference.answers import Answer, Row, list_columns


class JsonLinesWriter:
    """Writes an object for each face, each in a line of its own."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._columns = file, list_columns(classes)

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        for row in rows:
            self._file.write(_to_json(self._columns, row) + b"\n")

    def close(self) -> None:
        pass


class JsonWriter:
    """Writes one list with an object for each face."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._columns, self._before = file, list_columns(classes), b"[\n"

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        for row in rows:
            self._file.write(self._before + _to_json(self._columns, row))
            self._before = b",\n"

    def close(self) -> None:
        self._file.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")


def _to_json(columns: Sequence[str], row: Row) -> bytes:
    # A file name that is not UTF-8 keeps its bytes as escapes.
    return json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=True, allow_nan=False).encode()
