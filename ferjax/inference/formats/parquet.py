"""Answers as Parquet, written by pyarrow in groups of rows."""

from collections.abc import Sequence
from typing import Any, BinaryIO

from ferjax.errors import UserError
from ferjax.inference.answers import Answer, Row, to_frame

_GROUP_ROWS = 10_000


class ParquetWriter:
    """Writes the published columns with their types."""

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise UserError("Parquet needs the package pyarrow: pip install 'ferjax[predict]'.") from error
        self._pyarrow: Any = pyarrow
        self._classes, self._rows = classes, list[Row]()
        self._schema = pyarrow.Schema.from_pandas(to_frame([], classes), preserve_index=False)
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema)

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            frame = to_frame(self._rows, self._classes)
            self._writer.write_table(self._pyarrow.Table.from_pandas(frame, self._schema, preserve_index=False))
            self._rows.clear()
