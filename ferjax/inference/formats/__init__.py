"""How answers are written, one file each; every format is written while pictures come, and holds none of them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO

from ferjax.inference.formats import contact_sheet, delimited, json_text, markdown_rows, parquet
from ferjax.inference.formats.base import Writer

__all__ = ["FORMATS", "Format", "Writer"]


@dataclasses.dataclass(frozen=True)
class Format:
    """A format: `create(file, classes)` makes its writer; `pixels` says that it needs the pictures themselves."""

    create: Callable[[BinaryIO, Sequence[str]], Writer]
    is_text: bool = True
    pixels: bool = False


# By name, which is the suffix of the file.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "csv": Format(delimited.CsvWriter),
        "json": Format(json_text.JsonWriter),
        "jsonl": Format(json_text.JsonLinesWriter),
        "parquet": Format(parquet.ParquetWriter, is_text=False),
        "md": Format(markdown_rows.MarkdownWriter),
        "html": Format(contact_sheet.ContactSheet, pixels=True),
    }
)
