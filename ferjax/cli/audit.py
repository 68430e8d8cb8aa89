"""Say what is wrong with a data set.

    ferjax audit FILE [--output FOLDER]

Counts classes, exact and near copies, copies across splits, contradicting labels and flat images; prints a table and
writes audit.json, copies.csv (a line per row that has a copy) and index.html, a page with examples.
`python -m ferjax.data.audit` is the same.
"""

import argparse
import pathlib
from collections.abc import Sequence

from ferjax import data
from ferjax.cli import endings
from ferjax.cli.flags import Parser, file_path
from ferjax.data.audit.findings import examine
from ferjax.data.audit.summary import format_summary, write
from ferjax.data.reading import ON_BAD_ROW
from ferjax.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, examine, print the table; return the exit code."""
    parser = Parser("ferjax audit", __doc__, takes_data=True)
    parser.add_argument(
        "file", metavar="FILE", help="a csv, an image folder, an archive of one, or a prepared tfds folder"
    )
    parser.add_argument(
        "--output", type=file_path, metavar="FOLDER", help="the folder to write to; audit_NAME by default"
    )
    parser.add_argument("--name", choices=list(data.DATASETS), default="fer2013", help="which data set the file holds")
    # The same as --data.on_bad_row, which errors about bad rows name.
    parser.add_argument(
        "--on_bad_row", choices=ON_BAD_ROW, default="error", help="what to do about a row that cannot be read"
    )
    return endings.run(parser, arguments, _audit, folder=_find_folder)


def _find_folder(found: argparse.Namespace) -> pathlib.Path:
    folder: pathlib.Path = found.output or pathlib.Path(
        f"audit_{file_path(found.file).resolve().name.partition('.')[0]}"
    )
    return folder


def _audit(found: argparse.Namespace) -> None:
    folder = _find_folder(found)
    on_bad_row = found.data.get("on_bad_row", found.on_bad_row)
    examined = examine(data.read(found.file, on_bad_row, found.data.get("name", found.name)))
    try:  # first of all, since what is printed may be piped into head
        write(examined, found.file, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): name another folder with --output.") from error
    print(format_summary(examined, found.file))
    print(f"\nThe page is {folder / 'index.html'}")
