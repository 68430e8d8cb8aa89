"""What `ferjax predict` leaves: its files, written as answers come, and what it counts for its last words."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

from ferjax.errors import UserError
from ferjax.inference.answers import Answer, Row, describe_faces, describe_place, list_columns, to_frame, to_rows
from ferjax.inference.copies import Copies
from ferjax.inference.curves import ENDING, Curves
from ferjax.inference.formats import FORMATS, Writer
from ferjax.inference.layouts import to_layout
from ferjax.inference.marks import read_file_mark

FILE_STEM = "faces"
ANNOTATED, EXPLAINED = "annotated", "explained"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which files are wanted: formats of FORMATS in `folder`, or one of them on stdout, or none, and then in words.

    `layout` is that of another tool, for csv, json, jsonl and parquet; `draw` asks for annotated copies, and `explain`
    for copies with the faces' overlays.
    """

    folder: pathlib.Path | None
    formats: Sequence[str]
    layout: str | None = None
    draw: bool = False
    explain: bool = False

    @property
    def pixels(self) -> bool:
        """Whether the pictures themselves are needed."""
        return self.draw or self.explain or any(FORMATS[name].pixels for name in self.formats)


class Results(contextlib.AbstractContextManager["Results"]):
    """Takes answers one by one; leaving the block completes the files, also after an interrupt.

    `written` is then what this run wrote, and `left` what lies beside it from an earlier one, with how many files.
    """

    def __init__(self, wanted: Wanted, classes: Sequence[str], unsure_below: float) -> None:
        self._wanted, self._classes, self._unsure_below = wanted, classes, unsure_below
        self._files = contextlib.ExitStack()
        self._writers: list[Writer] = []
        self._held: list[Row] = []  # only for another tool's layout
        self._curves = Curves(classes)
        self._copies: list[Copies] = []
        if wanted.draw and wanted.folder is not None:
            self._copies.append(Copies(wanted.folder / ANNOTATED, classes))
        if wanted.explain and wanted.folder is not None:
            self._copies.append(Copies(wanted.folder / EXPLAINED, classes, explained=True))
        self.written: list[pathlib.Path] = []
        self.left: list[tuple[pathlib.Path, int]] = []
        self.statuses: collections.Counter[str] = collections.Counter()
        self.labels: collections.Counter[str] = collections.Counter()
        self.unreadable: list[tuple[str, str]] = []
        self.pictures = self.faces = 0

    def __enter__(self) -> "Results":
        if self._wanted.folder is not None:
            try:
                self._wanted.folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise UserError(f"{self._wanted.folder} is or lies in a file: name a folder with -o DIR.") from error
        if self._wanted.layout is None:
            for name in self._wanted.formats:
                self._writers.append(FORMATS[name].create(self._open(name), self._classes))
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        for copies in self._copies:
            copies.close()
        if self._wanted.layout is not None:
            self._write_layout(self._wanted.layout)
        self._files.close()
        if self._wanted.folder is not None:
            self.written += self._curves.draw(self._wanted.folder)
            self.written += [copies.folder for copies in self._copies if copies.written]
            self.left = self._find_left(self._wanted.folder)

    def add(self, answer: Answer) -> None:
        rows = list(to_rows(answer, self._classes, self._unsure_below))
        columns = list_columns(self._classes)
        label, status = columns.index("label"), columns.index("status")
        self.pictures += 1
        self.faces += len(answer.faces)
        self.statuses.update(row[status] for row in rows)
        self.labels.update(row[label] for row in rows if row[label] is not None)
        if not answer.readable:
            self.unreadable.append((describe_place(answer.picture), answer.picture.reason))
        for writer in self._writers:
            writer.add(answer, rows)
        if self._wanted.layout is not None:
            self._held.extend(rows)
        if not self._wanted.formats:
            words = describe_faces(answer, self._classes, self._unsure_below)
            print(f"{describe_place(answer.picture)}: {words}", flush=True)
        if self._wanted.folder is not None:
            self._curves.add(answer)
        for copies in self._copies:
            copies.add(answer)

    def _find_left(self, folder: pathlib.Path) -> list[tuple[pathlib.Path, int]]:
        """Return what an earlier run left in the folder: answers, and folders of copies with how many of them."""
        answers = [folder / f"{FILE_STEM}.{name}" for name in FORMATS]
        charts = sorted(folder.glob(f"*{ENDING}"))
        left = [path for path in answers if path.exists()] + [path for path in charts if read_file_mark(path)]
        ours = {copies.folder: copies.written for copies in self._copies}
        found = [(path, 1) for path in left if path not in self.written]
        for copied in (folder / ANNOTATED, folder / EXPLAINED):
            others = set(copied.glob("*")) - ours.get(copied, set())
            if number := sum(read_file_mark(path) is not None for path in others):
                found.append((copied, number))
        return found

    def _open(self, name: str) -> BinaryIO:
        if self._wanted.folder is None:
            return sys.stdout.buffer
        path = self._wanted.folder / f"{FILE_STEM}.{name}"
        self.written.append(path)
        if path.is_symlink():  # what it names is another's
            path.unlink()
        return self._files.enter_context(open(path, "wb"))

    def _write_layout(self, layout: str) -> None:
        frame = to_frame(self._held, self._classes)
        shaped: Any = to_layout(frame, self._classes, layout)
        for name in self._wanted.formats:
            file = self._open(name)
            if name == "csv":
                shaped.to_csv(file, index=False, lineterminator="\n")
            elif name == "parquet":
                shaped.to_parquet(file, index=False)
            elif name == "jsonl":
                file.writelines(f"{json.dumps(entry)}\n".encode() for entry in _to_list(shaped))
            else:
                file.write(f"{json.dumps(_to_list(shaped), indent=1)}\n".encode())


def _to_list(shaped: Any) -> list[Any]:
    """Return a layout as a list: a table as one object a row, with null for what a row does not have."""
    if isinstance(shaped, list):
        return shaped
    records: list[Any] = shaped.astype(object).where(shaped.notna(), None).to_dict("records")
    return records
