"""What is wrong with a data set: `python -m ferjax.data.audit FILE [--output FOLDER]`.

Counts classes, exact and near copies, copies across splits, contradicting labels and flat images; prints a table and
writes audit.json, copies.csv (a line per row that has a copy) and index.html, a page with examples.
"""

import argparse
import logging
import pathlib
import sys

from ferjax import data
from ferjax.data.audit.findings import examine
from ferjax.data.audit.summary import format_summary, write
from ferjax.data.reading import ON_BAD_ROW
from ferjax.errors import UserError


def main() -> int:
    """Run the command line; its exit code is 0, or 1 after a mistake that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m ferjax.data.audit", description=__doc__.partition("\n\n")[2])
    parser.add_argument("file", help="a csv, an image folder, an archive of one, or a prepared tfds folder")
    parser.add_argument("--output", help="the folder to write to; audit_NAME here by default")
    parser.add_argument("--name", choices=data.DATASETS, default="fer2013", help="which data set the file holds")
    # The long name is the one that the training command has.
    parser.add_argument("--on_bad_row", "--config.data.on_bad_row", dest="on_bad_row", choices=ON_BAD_ROW)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    name = pathlib.Path(arguments.file).resolve().name.partition(".")[0]
    folder = pathlib.Path(arguments.output or f"audit_{name}")
    try:
        audit = examine(data.read(arguments.file, arguments.on_bad_row or "error", arguments.name))
        print(format_summary(audit, arguments.file), flush=True)
        write(audit, arguments.file, folder)
    except UserError as error:
        # A sentence about a bad row names the config key; here it is a flag of this command.
        said = str(error).replace("data.on_bad_row=", "--on_bad_row=")
        parser.exit(1, f"ferjax: {said}\n")
    except OSError as error:
        parser.exit(1, f"ferjax: {folder} cannot be written ({error.strerror}): name another folder with --output\n")
    print(f"\nThe page is {folder / 'index.html'}")
    return 0
