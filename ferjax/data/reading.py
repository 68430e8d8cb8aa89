"""Finding out what a path holds, by its content, and reading it: the entry to all the other readers."""

import dataclasses
import logging
import os
import pathlib
import tempfile
from io import BufferedIOBase
from typing import cast

from ferjax.data import cache
from ferjax.data.form import Form
from ferjax.data.readers.archive import (
    HEAD_BYTES,
    FolderTree,
    TarTree,
    Tree,
    ZipTree,
    decompress,
    is_image_name,
    kind_of,
    reading,
)
from ferjax.data.readers.csv_file import describe_missing, missing_columns, name_columns, read_csv, split_header
from ferjax.data.readers.tfds import read_prepared
from ferjax.data.rows import Rows
from ferjax.errors import UserError

ON_BAD_ROW = ("error", "skip")
_ARCHIVES = ("zip", "tar", "gzip", "bzip2", "xz")
_MAX_DEPTH = 4  # of archives in archives

logger = logging.getLogger("ferjax")


@dataclasses.dataclass(frozen=True)
class _Found:
    """What to take from a folder or archive: 'csv' and 'archive' name one file, 'images' many, 'tfds' a folder."""

    kind: str
    names: list[str]
    notes: tuple[str, ...] = ()


def read_files(path: str | os.PathLike[str], form: Form, on_bad_row: str) -> Rows:
    """Read a csv, an image folder, a zip or tar of either, or a prepared tensorflow-datasets folder.

    Rows come in file order. `on_bad_row` is 'error', which raises UserError at the first bad row, or 'skip', which
    lists bad rows in `skipped` and logs how many they are. Rows are kept in the cache for the next time.
    """
    if on_bad_row not in ON_BAD_ROW:
        raise UserError(f"data.on_bad_row is '{on_bad_row}': choose one of {', '.join(ON_BAD_ROW)}")
    place = pathlib.Path(path).expanduser()
    with reading(str(place)):
        if not place.exists():
            raise UserError(f"There is no data set at {place}: {form.how_to_get}")
        rows = _read_folder(place, form, on_bad_row) if place.is_dir() else _read_file(place, form, on_bad_row)
    if rows.skipped:
        logger.warning("Left out %d bad rows of %s, the first being %s", len(rows.skipped), place, rows.skipped[0])
    return rows


def _read_file(path: pathlib.Path, form: Form, on_bad_row: str) -> Rows:
    def parse() -> Rows:
        with open(path, "rb") as file:
            return _read_stream(file, str(path), form, on_bad_row)

    digest = cache.find_digest(path, {path.name: path.stat()}, lambda: cache.hash_file(path))
    return cache.read_once(digest, _name_reading(form, on_bad_row), parse)


def _read_folder(path: pathlib.Path, form: Form, on_bad_row: str) -> Rows:
    tree = FolderTree(path)
    found = _choose(tree, form)
    if found.kind in ("csv", "archive"):
        rows = _read_file(path / found.names[0], form, on_bad_row)
    else:

        def parse() -> Rows:
            if found.kind == "tfds":
                return read_prepared(path / os.path.dirname(found.names[0]), form)
            return _read_images(tree, found.names, form, on_bad_row)

        stats = {name: tree.stats[name] for name in found.names}
        digest = cache.find_digest(path, stats, lambda: cache.hash_files(tree.contents(found.names)))
        rows = cache.read_once(digest, _name_reading(form, on_bad_row), parse)
    return dataclasses.replace(rows, notes=found.notes + rows.notes)


def _name_reading(form: Form, on_bad_row: str) -> str:
    """Name what the rows depend on beside the files' content, for the cache."""
    return f"{form.name}-{on_bad_row}"


def _read_stream(file: BufferedIOBase, label: str, form: Form, on_bad_row: str, depth: int = 0) -> Rows:
    """Read an open file that can be wound back to its start; its digest is left to the caller."""
    if depth > _MAX_DEPTH:
        raise UserError(f"{label} is an archive within {_MAX_DEPTH} others: unpack it by hand")
    with reading(label):
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = kind_of(head)
        if kind == "text":
            return _read_text(file, label, form, on_bad_row, head)
        if kind == "zip":
            return _read_tree(ZipTree(file, label), form, on_bad_row, depth)
        if kind == "tar":
            return _read_tree(TarTree(file, label), form, on_bad_row, depth)
        if kind in _ARCHIVES:
            with decompress(file, kind) as inner:
                return _read_stream(inner, label, form, on_bad_row, depth + 1)
    if kind == "empty":
        raise UserError(f"{label} is empty: download it again")
    what = "an image" if kind == "image" else "neither a csv nor a zip or tar archive"
    raise UserError(f"{label} is {what}: give a csv, an image folder, or an archive of one")


def _read_text(file: BufferedIOBase, label: str, form: Form, on_bad_row: str, head: bytes) -> Rows:
    names = split_header(head.partition(b"\n")[0])
    columns = name_columns(form)
    if len(missing_columns(names, form)) == len(columns):
        line = ",".join(names)
        shown = line if len(line) <= 40 else line[:40] + "..."
        raise UserError(
            f"{label} is no {form.title} csv: its first line is '{shown}' and should be '{','.join(columns)}', "
            "so download it again"
        )
    return read_csv(file, label, form, on_bad_row)


def _read_tree(tree: Tree, form: Form, on_bad_row: str, depth: int) -> Rows:
    found = _choose(tree, form)
    if found.kind == "tfds":
        raise UserError(f"{tree.label} holds a prepared tensorflow-datasets folder: unpack it and give the folder")
    if found.kind == "images":
        rows = _read_images(tree, found.names, form, on_bad_row)
    else:
        label = f"{tree.label}, member {found.names[0]}"
        with tree.open(found.names[0]) as member:
            if found.kind == "csv":
                rows = read_csv(member, label, form, on_bad_row)
            else:
                rows = _read_nested(member, label, form, on_bad_row, depth + 1)
    return dataclasses.replace(rows, notes=found.notes + rows.notes)


def _read_images(tree: Tree, names: list[str], form: Form, on_bad_row: str) -> Rows:
    # Imported here because it brings Pillow, which neither a csv nor a second start needs.
    from ferjax.data.readers import folder

    return folder.read_images(tree, names, form, on_bad_row)


def _read_nested(member: BufferedIOBase, label: str, form: Form, on_bad_row: str, depth: int) -> Rows:
    """Copy a member out of its archive, then read it: going back within an archive would mean unpacking it again."""
    with cast(BufferedIOBase, tempfile.TemporaryFile()) as copy:
        while chunk := member.read(1 << 20):
            copy.write(chunk)
        copy.seek(0)
        return _read_stream(copy, label, form, on_bad_row, depth)


def _choose(tree: Tree, form: Form) -> _Found:
    """Choose what to read: a prepared tfds folder, else a csv with all its columns, else images, else one archive."""
    if not tree.names:
        raise UserError(f"{tree.label} holds no files: download it again")
    for name in tree.names:
        if os.path.basename(name) == "dataset_info.json":
            folder = name[: -len("dataset_info.json")]
            return _Found("tfds", [name, *(n for n in tree.names if n.startswith(folder) and n != name)])
    heads = {name: tree.head(name) for name in tree.names if not is_image_name(name)}
    kinds = {name: kind_of(head) for name, head in heads.items()}
    headers = {name: split_header(heads[name].partition(b"\n")[0]) for name in kinds if kinds[name] == "text"}
    images = [name for name in tree.names if kinds.get(name, "image") == "image"]
    archives = [name for name in kinds if kinds[name] in _ARCHIVES]
    whole = [name for name in headers if not missing_columns(headers[name], form)]
    if whole:
        return _Found("csv", whole[:1], _note_others(whole[0], [n for n in heads if n != whole[0]], len(images)))
    if images:
        return _Found("images", images, _note_ignored(list(heads.keys() - set(images))))
    if len(archives) == 1:
        return _Found("archive", archives, _note_others(archives[0], [n for n in heads if n != archives[0]], 0))
    if archives:
        raise UserError(f"{tree.label} holds {len(archives)} archives: unpack {archives[0]} or another and give that")
    for name, names in headers.items():
        missing = missing_columns(names, form)
        if len(missing) < len(name_columns(form)):
            raise UserError(describe_missing(f"{tree.label}, {name}", names, missing, form))
    raise UserError(
        f"{tree.label} holds neither a csv with the columns {', '.join(name_columns(form))} nor images "
        f"(but {_list(list(heads))}): download the data set again"
    )


def _note_others(taken: str, others: list[str], images: int) -> tuple[str, ...]:
    if images:
        others = [*others, f"{images} images"]
    return (f"took {taken}, not {_list(others)}",) if others else (f"took {taken}",)


def _note_ignored(names: list[str]) -> tuple[str, ...]:
    return (f"left aside what is no image: {_list(sorted(names))}",) if names else ()


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
