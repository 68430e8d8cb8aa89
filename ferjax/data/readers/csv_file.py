"""Csv files as Kaggle has FER-2013: `emotion,pixels,Usage` in any column order, with or without further columns.

`emotion` is the number of the class or its name, `pixels` are the image's numbers row by row, separated by spaces, and
`Usage` is one of the authors' names of the training, validation and test rows; without that column there is no split.
Fields may lie between commas, semicolons or tabs, and the text may be UTF-16, as spreadsheets write it.
"""

import codecs
import csv
import dataclasses
import io
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from ferjax.data.form import Form
from ferjax.data.readers.csv_header import Columns, find_columns
from ferjax.data.readers.digits import parse_pixels
from ferjax.data.rows import Rows
from ferjax.data.threads import map_ahead
from ferjax.errors import UserError

SKIP_HINT = "data.on_bad_row=skip"

_CHUNK_BYTES = 1 << 21
_MAX_LINE_BYTES = 1 << 24
_LINES_AT_ONCE = 48  # of FER-2013 about 400 kB of text: the work arrays of parse_pixels stay in the cache
_BLANK = b" \t\r"
_SEPARATED = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclasses.dataclass(frozen=True)
class _Bad:
    """Name a row that cannot be read; numbers are 1-based."""

    row: int
    line: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row} (line {self.line}): {self.reason}"


@dataclasses.dataclass
class _Part:
    """What a run of whole lines gave; `bad` counts rows and lines from the run's start."""

    pixels: UInt8[np.ndarray, "n pixels"]
    labels: Int32[np.ndarray, " n"]
    usage: UInt8[np.ndarray, " n"]
    good: Bool[np.ndarray, " n"]
    bad: list[_Bad]
    line_count: int


def read_csv(file: BufferedIOBase, label: str, form: Form, on_bad_row: str, *, utf16: bool = False) -> Rows:
    """Read a csv from its start; `label` names it in errors.

    Raises UserError at the first bad row unless `on_bad_row` is 'skip', and if no row is good.
    """
    if utf16:
        file = io.BufferedReader(_Recoded(file))
    columns = find_columns(file.readline(_MAX_LINE_BYTES), label, form)
    parts: list[_Part] = []
    skipped: list[str] = []
    row, line = 0, 1
    for part in map_ahead(lambda text: _parse_lines(text, columns), _whole_lines(file, label, form)):
        for bad in part.bad:
            bad = dataclasses.replace(bad, row=bad.row + row, line=bad.line + line)
            if on_bad_row == "error":
                raise UserError(f"{label}, {bad}; fix that row, or leave such rows out with {SKIP_HINT}")
            skipped.append(str(bad))
        row += len(part.good)
        line += part.line_count
        parts.append(part)
    if row == 0:
        raise UserError(f"{label} has a header but no rows: download it again")
    if len(skipped) == row:
        raise UserError(f"{label} has no readable row among {row}, the first being {skipped[0]}: download it again")
    pixels = np.concatenate([part.pixels[part.good] if part.bad else part.pixels for part in parts])
    return form.create_rows(
        images=pixels.reshape(-1, form.side_px, form.side_px, form.channels),
        labels=np.concatenate([part.labels[part.good] for part in parts]),
        usage=None if columns.usage is None else np.concatenate([part.usage[part.good] for part in parts]),
        skipped=tuple(skipped),
    )


class _Recoded(io.RawIOBase):
    """The UTF-8 of a file in UTF-16."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self._rest, self._ended = file, b"", False
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._ended:
            chunk = self._file.read(_CHUNK_BYTES)
            self._ended = not chunk
            self._rest = self._decoder.decode(chunk, final=self._ended).encode()
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


def _whole_lines(file: BufferedIOBase, label: str, form: Form) -> Iterator[bytes]:
    """Return runs of whole lines; only the very last may lack its newline."""
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        elif len(rest) > _MAX_LINE_BYTES:
            raise UserError(
                f"{label} has a line of over {_MAX_LINE_BYTES >> 20} MB, so it is no {form.title}: download it again"
            )
        else:
            rest += chunk
    if rest:
        yield rest


def _parse_lines(text: bytes, columns: Columns) -> _Part:
    """Parse whole lines: all at once where they are as they should be, one by one where they are not."""
    lines = text.split(b"\n")
    cut_off = bool(lines[-1])  # the file ends within this line, or only lacks its last newline
    line_count = len(lines) if cut_off else len(lines) - 1
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip(_BLANK)]
    n = len(numbered)
    part = _Part(
        pixels=np.empty((n, columns.pixels_count), np.uint8),
        labels=np.zeros(n, np.int32),
        usage=np.zeros(n, np.uint8),
        good=np.ones(n, bool),
        bad=[],
        line_count=line_count,
    )
    for start in range(0, n, _LINES_AT_ONCE):
        stop = min(start + _LINES_AT_ONCE, n)
        if _parse_fast([line for _, line in numbered[start:stop]], columns, part, start):
            continue
        for i in range(start, stop):
            number, line = numbered[i]
            if _parse_fast([line], columns, part, i):
                continue
            reason = _parse_slowly(line, columns, part, i)
            if reason:
                if cut_off and number == line_count:
                    reason += " (the file ends in this row and seems cut off)"
                part.good[i] = False
                part.bad.append(_Bad(i + 1, number, reason))
    return part


def _parse_fast(lines: list[bytes], columns: Columns, part: _Part, start: int) -> bool:
    """Parse lines into part[start:]; return False if one of them must be read with more care, be it wrong or not."""
    pixels, labels, usage = [], [], []
    for line in lines:
        fields = line.split(columns.delimiter.encode())
        if len(fields) != columns.count:
            return False
        label = columns.label_codes.get(_bare(fields[columns.emotion]))
        code = 0 if columns.usage is None else columns.usage_codes.get(_bare(fields[columns.usage]))
        if label is None or code is None:
            return False
        pixels.append(_bare(fields[columns.pixels]))
        labels.append(label)
        usage.append(code)
    stop = start + len(lines)
    part.labels[start:stop] = labels
    part.usage[start:stop] = usage
    return parse_pixels(pixels, part.pixels[start:stop])


def _bare(field: bytes) -> bytes:
    """Strip a field of the spaces and the one pair of quotes around it; an unpaired quote stays, to be found wrong."""
    field = field.strip(_BLANK)
    if field[:1] == b'"' and field[-1:] == b'"' and len(field) > 1:
        return field[1:-1].strip(_BLANK)
    return field


def _parse_slowly(line: bytes, columns: Columns, part: _Part, i: int) -> str:
    """Parse one line into part[i] by the csv rules; give the reason why it is bad, or ''."""
    text = line.decode("utf-8", "replace").replace("\0", "\ufffd").strip(" \t\r")
    try:
        fields = [
            field.strip()
            for field in next(csv.reader([text], delimiter=columns.delimiter, skipinitialspace=True, strict=True))
        ]
    except csv.Error as error:
        return f"not a row of {_SEPARATED[columns.delimiter]}-separated fields ({error})"
    if len(fields) != columns.count:
        return f"{len(fields)} {'field' if len(fields) == 1 else 'fields'} instead of {columns.count}"
    label, pixels = fields[columns.emotion], fields[columns.pixels].split()
    if len(pixels) != columns.pixels_count:
        return f"{len(pixels)} pixels instead of {columns.pixels_count}"
    for number, pixel in enumerate(pixels, 1):
        if not _is_integer(pixel):
            return f"pixel {number} is {_quote(pixel)}, not a whole number"
        if not 0 <= int(pixel) <= 255:
            return f"pixel {number} is {int(pixel)}, outside 0..255"
    code = columns.label_codes.get(label.encode())
    if code is None and not _is_integer(label):
        return f"emotion is {_quote(label)}, not a whole number"
    code = int(label) if code is None else code
    if not 0 <= code < columns.classes:
        return f"emotion is {code}, outside 0..{columns.classes - 1}"
    if columns.usage is not None:
        usage = fields[columns.usage].encode()
        if usage not in columns.usage_codes:
            *others, last = (name.decode() for name in columns.usage_codes)
            return f"Usage is {_quote(fields[columns.usage])} instead of {', '.join(others)} or {last}"
        part.usage[i] = columns.usage_codes[usage]
    part.pixels[i] = np.array(pixels, int)
    part.labels[i] = code
    return ""


def _is_integer(text: str) -> bool:
    """Return whether this is a whole number of a sensible length."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    return digits.isascii() and digits.isdigit() and len(digits) < 20


def _quote(text: str) -> str:
    return f"'{text}'" if len(text) <= 20 else f"'{text[:20]}...'"
