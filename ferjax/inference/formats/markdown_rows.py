"""Answers as a Markdown table of what a person reads: the label, and not every probability."""

from collections.abc import Sequence
from typing import BinaryIO

from ferjax.documents.markdown import escape_markdown
from ferjax.inference.answers import Answer, Row, describe_place, list_columns


class MarkdownWriter:
    """Writes a line of a table for each face."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._columns = file, list_columns(classes)
        self._write("| picture | face | box | label | confidence | status |\n|---|---:|---|---|---:|---|\n")

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        for row in rows:
            found = dict(zip(self._columns, row, strict=True))
            has_face = found["face"] is not None
            box = f"{found['width']}x{found['height']} at {found['x']}, {found['y']}" if has_face else ""
            status = found["status"] if found["reason"] is None else f"{found['status']}: {found['reason']}"
            cells = (
                describe_place(answer.picture),
                str(found["face"]) if has_face else "",
                box,
                found["label"] or "",
                f"{found['confidence']:.1%}" if has_face else "",
                status,
            )
            self._write(f"| {' | '.join(map(escape_markdown, cells))} |\n")

    def close(self) -> None:
        pass

    def _write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "backslashreplace"))
