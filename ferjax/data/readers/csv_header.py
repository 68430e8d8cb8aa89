"""The first line of a csv: which columns it has, what lies between them, and where those of a data set stand."""

import codecs
import csv
import dataclasses
from collections.abc import Mapping

from ferjax.data.form import Form
from ferjax.errors import UserError

_DELIMITERS = (",", ";", "\t", "|")
_OPTIONAL = "Usage"


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where the fields stand among the `count` fields of a row, and which number each legal word stands for.

    `usage` is None where the data set has no usages; `pixels_count` is how many pixels an image has.
    """

    emotion: int
    pixels: int
    usage: int | None
    count: int
    pixels_count: int
    delimiter: str
    classes: int
    label_codes: Mapping[bytes, int]
    usage_codes: Mapping[bytes, int]


def split_header(line: bytes) -> list[str]:
    """Return the column names of a header line, without byte-order mark, quotes or spaces."""
    return _split_header(line)[0]


def _split_header(line: bytes) -> tuple[list[str], str]:
    """Return the column names and what lies between them: whichever of the usual marks gives the most names."""
    utf16 = is_utf16(line)
    if utf16 and len(line) % 2:  # cut at its newline, which has two bytes
        line = line + b"\0" if line.startswith(codecs.BOM_UTF16_LE) else line[:-1]
    text = line.decode("utf-16" if utf16 else "utf-8-sig", "replace").replace("\0", "").strip()
    found = []
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])]
        except csv.Error:  # such as a lone carriage return: some other text file, whose first line names no columns
            names = [text]
        found.append((names, delimiter))
    return max(found, key=lambda item: len(item[0]))


def name_columns(form: Form) -> tuple[str, ...]:
    """Return the columns that a csv of this data set must have."""
    return ("emotion", "pixels") if form.usages is None else ("emotion", "pixels", "Usage")


def missing_columns(names: list[str], form: Form) -> list[str]:
    """Return those of the columns that the header lacks, whatever its letter case."""
    present = {name.lower() for name in names}
    return [name for name in name_columns(form) if name.lower() not in present]


def is_utf16(head: bytes) -> bool:
    """Return whether a file that begins like this is UTF-16."""
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def is_readable(missing: list[str]) -> bool:
    """Return whether a csv can be read that lacks these columns: one without a split can."""
    return missing in ([], [_OPTIONAL])


def find_columns(line: bytes, label: str, form: Form) -> Columns:
    """Return where a data set's columns stand by a csv's first line; raises UserError where one is lacking or twice."""
    names, delimiter = _split_header(line)
    missing = missing_columns(names, form)
    if not is_readable(missing):
        raise UserError(describe_missing(label, names, missing, form))
    lower = [name.lower() for name in names]
    twice = [name for name in name_columns(form) if lower.count(name.lower()) > 1]
    if twice:
        raise UserError(f"{label} has the column {twice[0]} {lower.count(twice[0].lower())} times: leave one of them")
    return Columns(
        emotion=lower.index("emotion"),
        pixels=lower.index("pixels"),
        usage=lower.index("usage") if form.usages is not None and "usage" in lower else None,
        count=len(names),
        delimiter=delimiter,
        classes=len(form.classes),
        pixels_count=form.side_px * form.side_px * form.channels,
        label_codes=_name_labels(form),
        usage_codes={name.encode(): code for code, name in enumerate(form.usages or ())},
    )


def _name_labels(form: Form) -> dict[bytes, int]:
    """Return what may stand for a class: its number, also as pandas writes it beside gaps, or one of its names."""
    words: dict[bytes, int] = {}
    for code, name in enumerate(form.classes):
        for word in (str(code), f"{code}.0", name, *form.synonyms.get(name, ())):
            words |= {spelled.encode(): code for spelled in (word, word.lower(), word.capitalize(), word.upper())}
    return words


def describe_missing(label: str, names: list[str], missing: list[str], form: Form) -> str:
    """Return the sentence for a csv that lacks columns."""
    found = ",".join(names)
    found = found if len(found) <= 60 else found[:60] + "..."
    columns = "column " if len(missing) == 1 else "columns "
    return (
        f"{label} lacks the {columns}{', '.join(missing)}: its first line is '{found}' and should be "
        f"'{','.join(name_columns(form))}', as in Kaggle's fer2013.csv or icml_face_data.csv"
    )
