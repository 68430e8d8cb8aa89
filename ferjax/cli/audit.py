"""What is wrong with a data set: `python -m ferjax.data.audit FILE [--output FOLDER]`.

Counts classes, exact and near copies, copies across splits, contradicting labels and flat images; prints a table and
writes audit.json, copies.csv (a line per row that has a copy) and index.html, a page with examples.
"""

import argparse
import csv
import json
import logging
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ferjax.data.audit import page as audit_page
from ferjax.data.audit.findings import Audit, best_correlation, count_classes, count_copies, examine, has_copy
from ferjax.data.duplicates import THRESHOLD
from ferjax.data.reading import ON_BAD_ROW, read
from ferjax.data.rows import USAGES
from ferjax.errors import UserError
from ferjax.files import replacing

COLUMNS = ("group", "row", "usage", "emotion", "kind", "correlation")


def summarize(audit: Audit, path: str) -> dict[str, Any]:
    """What audit.json holds."""
    rows = audit.rows
    return {
        "path": path,
        "digest": rows.digest,
        "rows": len(rows),
        "classes": list(rows.classes),
        "counts": count_classes(rows),
        "near_threshold": THRESHOLD,
        "copies": {what: {"exact": exact, "exact_or_near": near} for what, exact, near in count_copies(audit)},
        "flat_images": audit.flat.tolist(),
        "skipped": list(rows.skipped),
        "notes": list(rows.notes),
    }


def list_copies(audit: Audit) -> list[tuple[int, int, str, str, str, str]]:
    """The lines of copies.csv: every row that has a copy, by group, groups in order of their first rows.

    `kind` is exact where another row has the same pixels; `correlation` is the highest with another row of the group.
    """
    rows = audit.rows
    exact, best = has_copy(audit.images), best_correlation(audit)
    lines = []
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(has_copy(audit.groups)).tolist():
        members.setdefault(int(audit.groups[row]), []).append(row)
    for number, group in enumerate(members.values(), 1):
        for row in group:
            kind, correlation = ("exact", 1.0) if exact[row] else ("near", best[row])
            usage, emotion = USAGES[rows.usage[row]], rows.classes[rows.emotion[row]]
            lines.append((number, row, usage, emotion, kind, f"{correlation:.4f}"))
    return lines


def write(audit: Audit, path: str, folder: pathlib.Path) -> None:
    """Write audit.json, copies.csv and index.html into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "audit.json") as beside:
        beside.write_text(json.dumps(summarize(audit, path), indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "copies.csv") as beside, beside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *list_copies(audit)])
    with replacing(folder / "index.html") as beside:
        beside.write_text(audit_page.render(audit, path), encoding="utf-8")


def format_summary(audit: Audit, path: str) -> str:
    """The table for the terminal."""
    rows = audit.rows
    counts = count_classes(rows)
    classes = [(usage, *count, sum(count)) for usage, count in counts.items()]
    copies = [*count_copies(audit), ("flat images", len(audit.flat), "")]
    parts = [
        f"{path}: {len(rows)} rows",
        _format_table(("rows", *rows.classes, "all"), classes),
        _format_table(("copies", "exact", f"exact or near ({THRESHOLD})"), copies),
        *rows.notes,
    ]
    return "\n\n".join(parts)


def _format_table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need, the first to the left, the others to the right."""
    cells = [[str(cell) for cell in line] for line in (header, *lines)]
    columns = []
    for i, column in enumerate(zip(*cells, strict=True)):
        width = max(map(len, column))
        columns.append([cell.rjust(width) if i else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def main() -> int:
    """Run the command line; its exit code is 0, or 1 after a mistake that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m ferjax.data.audit", description=__doc__.partition("\n\n")[2])
    parser.add_argument("file", help="a csv, an image folder, an archive of one, or a prepared tfds folder")
    parser.add_argument("--output", help="the folder to write to; audit_NAME here by default")
    # The long name is the one that errors about bad rows give.
    parser.add_argument("--on_bad_row", "--config.data.on_bad_row", dest="on_bad_row", choices=ON_BAD_ROW)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    name = pathlib.Path(arguments.file).resolve().name.partition(".")[0]
    folder = pathlib.Path(arguments.output or f"audit_{name}")
    try:
        audit = examine(read(arguments.file, arguments.on_bad_row or "error"))
        print(format_summary(audit, arguments.file), flush=True)
        write(audit, arguments.file, folder)
    except UserError as error:
        parser.exit(1, f"ferjax: {error}\n")
    except OSError as error:
        parser.exit(1, f"ferjax: {folder} can't be written ({error.strerror}): name another folder with --output\n")
    print(f"\nThe page is {folder / 'index.html'}")
    return 0
