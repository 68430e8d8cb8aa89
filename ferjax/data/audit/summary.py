"""The numbers of an audit: a table for the terminal, and the files audit.json, copies.csv and index.html."""

import csv
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ferjax.data.audit import page
from ferjax.data.audit.findings import Audit, best_correlation, count_classes, count_copies, has_copy
from ferjax.data.duplicates import THRESHOLD
from ferjax.files import replacing

COLUMNS = ("group", "row", "usage", "emotion", "kind", "correlation")


def summarize(audit: Audit, path: str) -> dict[str, Any]:
    """Return what audit.json holds."""
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
    """Return the lines of copies.csv: every row that has a copy, by group, groups in order of their first rows.

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
            usage = "" if rows.usage is None else rows.usages[rows.usage[row]]
            lines.append((number, row, usage, rows.classes[rows.labels[row]], kind, f"{correlation:.4f}"))
    return lines


def write(audit: Audit, path: str, folder: pathlib.Path) -> None:
    """Write audit.json, copies.csv and index.html into a folder, which is made if need be.

    Raises OSError where that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "audit.json") as beside:
        beside.write_text(json.dumps(summarize(audit, path), indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "copies.csv") as beside, beside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *list_copies(audit)])
    with replacing(folder / "index.html") as beside:
        beside.write_text(page.render(audit, path), encoding="utf-8")


def format_summary(audit: Audit, path: str) -> str:
    """Return the tables for the terminal."""
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
    """Make columns as wide as they need, the first to the left, the others to the right."""
    cells = [[str(cell) for cell in line] for line in (header, *lines)]
    columns = []
    for i, column in enumerate(zip(*cells, strict=True)):
        width = max(map(len, column))
        columns.append([cell.rjust(width) if i else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))
