"""Finding out what a path holds, by its content, and reading it: the entry to all the other readers."""

import dataclasses
import hashlib
import logging
import os
import pathlib
import tempfile
from io import BufferedIOBase
from typing import cast

import numpy as np
from jaxtyping import UInt8

from ferjax import paths
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
from ferjax.data.readers.csv_file import read_csv
from ferjax.data.readers.csv_header import (
    describe_missing,
    is_readable,
    is_utf16,
    missing_columns,
    name_columns,
    split_header,
)
from ferjax.data.readers.pieces import choose_csvs, find_usage
from ferjax.data.readers.tfds import read_prepared
from ferjax.data.rows import Rows
from ferjax.documents.words import count, list_first
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
    place = paths.parse(path)
    with reading(str(place)):
        if not place.exists():
            raise UserError(f"There is no data set at {place}: {form.how_to_get}")
        if not (place.is_file() or place.is_dir()):
            raise UserError(f"{place} is neither a file nor a folder, but a pipe or a device: save it as a file")
        rows = _read_folder(place, form, on_bad_row) if place.is_dir() else _read_file(place, form, on_bad_row)
    if rows.skipped:
        bad, first = count(len(rows.skipped), "bad row"), rows.skipped[0]
        logger.warning(
            "Left out %s of %s%s", bad, place, f": {first}" if len(rows.skipped) == 1 else f", the first being {first}"
        )
    return rows


def _read_file(path: pathlib.Path, form: Form, on_bad_row: str) -> Rows:
    stats = {path.name: path.stat()}

    def parse() -> Rows:
        with open(path, "rb") as file:
            rows = _read_stream(file, str(path), form, on_bad_row)
        _check_unchanged(path.parent, stats)
        return rows

    digest = cache.find_digest(path, stats, lambda: cache.hash_file(path))
    return cache.read_once(digest, _name_reading(form, on_bad_row), parse)


def _read_folder(path: pathlib.Path, form: Form, on_bad_row: str) -> Rows:
    tree = FolderTree(path)
    found = _choose(tree, form)
    if found.kind in ("csv", "archive"):
        rows = _join([_read_file(path / name, form, on_bad_row) for name in found.names], found, form)
    else:
        stats = {name: tree.stats[name] for name in found.names}

        def parse() -> Rows:
            if found.kind == "tfds":
                rows = read_prepared(path / os.path.dirname(found.names[0]), form)
            else:
                rows = _read_images(tree, found.names, form, on_bad_row)
            _check_unchanged(path, stats)
            return rows

        digest = cache.find_digest(path, stats, lambda: cache.hash_files(tree.contents(found.names)))
        rows = cache.read_once(digest, _name_reading(form, on_bad_row), parse)
    return dataclasses.replace(rows, notes=found.notes + rows.notes)


def _check_unchanged(folder: pathlib.Path, stats: dict[str, os.stat_result]) -> None:
    """Raise UserError where a file is another one than `stats` says, so that no rows are kept under its old digest."""
    for name, before in stats.items():
        now = (folder / name).stat()
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino):
            raise UserError(f"{folder / name} has changed while it was read: start again when it is written.")


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
    if is_readable(missing_columns(names, form)):
        return read_csv(file, label, form, on_bad_row, utf16=is_utf16(head))
    columns, missing = name_columns(form), missing_columns(names, form)
    if len(missing) == len(columns):
        line = ",".join(names)
        shown = line if len(line) <= 40 else line[:40] + "..."
        raise UserError(
            f"{label} is no {form.title} csv: its first line is '{shown}' and should be '{','.join(columns)}', "
            "so download it again"
        )
    raise UserError(describe_missing(label, names, missing, form))


def _read_tree(tree: Tree, form: Form, on_bad_row: str, depth: int) -> Rows:
    found = _choose(tree, form)
    if found.kind == "tfds":
        raise UserError(f"{tree.label} holds a prepared tensorflow-datasets folder: unpack it and give the folder")
    if found.kind == "images":
        rows = _read_images(tree, found.names, form, on_bad_row)
    else:
        rows = _join(
            [_read_member(tree, name, found.kind, form, on_bad_row, depth) for name in found.names], found, form
        )
    return dataclasses.replace(rows, notes=found.notes + rows.notes)


def _read_member(tree: Tree, name: str, kind: str, form: Form, on_bad_row: str, depth: int) -> Rows:
    label = f"{tree.label}, member {name}"
    with tree.open(name) as member:
        if kind == "csv":
            return read_csv(member, label, form, on_bad_row, utf16=is_utf16(tree.head(name)))
        return _read_nested(member, label, form, on_bad_row, depth + 1)


def _join(parts: list[Rows], found: _Found, form: Form) -> Rows:
    """Put the rows of several files behind one another; their names say the usage where they do not."""
    first, *rest = parts
    if not rest:
        return first
    usages: list[UInt8[np.ndarray, " n"] | None] = []
    for name, rows in zip(found.names, parts, strict=True):
        of_name = find_usage(name)
        known = rows.usage is not None or of_name is None or form.usages is None
        usages.append(rows.usage if known else np.full(len(rows), of_name or 0, np.uint8))
    split = [usage for usage in usages if usage is not None]
    joined = form.create_rows(
        images=np.concatenate([rows.images for rows in parts]),
        labels=np.concatenate([rows.labels for rows in parts]),
        usage=None if len(split) < len(usages) else np.concatenate(split),
        skipped=tuple(f"{name}, {row}" for name, rows in zip(found.names, parts, strict=True) for row in rows.skipped),
        notes=first.notes,
    )
    digest = hashlib.sha256("".join(rows.digest for rows in parts).encode()).hexdigest()
    return dataclasses.replace(joined, digest=digest)


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
    described = [name for name in tree.names if os.path.basename(name) == "dataset_info.json"]
    for name in described:
        # Others write a file of that name beside images.
        if name.replace("dataset_info", "features") in tree.names or b"fileFormat" in tree.head(name):
            return _find_prepared(tree, name)
    heads = {name: tree.head(name) for name in tree.names if not is_image_name(name)}
    kinds = {name: kind_of(head) for name, head in heads.items()}
    headers = {name: split_header(heads[name].partition(b"\n")[0]) for name in kinds if kinds[name] == "text"}
    images = [name for name in tree.names if kinds.get(name, "image") == "image"]
    archives = [name for name in kinds if kinds[name] in _ARCHIVES]
    whole = [name for name in headers if not missing_columns(headers[name], form)]
    # Without a split there is little to tell such a file from others: only where it is all that there is.
    unsplit = [name for name in headers if is_readable(missing_columns(headers[name], form))]
    if chosen := choose_csvs(whole or ([] if images or len(archives) == 1 else unsplit), tree.label):
        return _Found("csv", chosen, _note_others(chosen, [n for n in heads if n not in chosen], len(images)))
    if images:
        return _Found("images", images, _note_ignored(list(heads.keys() - set(images))))
    if len(archives) == 1:
        return _Found("archive", archives, _note_others(archives, [n for n in heads if n != archives[0]], 0))
    if archives:
        raise UserError(f"{tree.label} holds {len(archives)} archives: unpack {archives[0]} or another and give that")
    for name, names in headers.items():
        missing = missing_columns(names, form)
        if len(missing) < len(name_columns(form)):
            raise UserError(describe_missing(f"{tree.label}, {name}", names, missing, form))
    if described:
        return _find_prepared(tree, described[0])
    raise UserError(
        f"{tree.label} holds neither a csv with the columns {', '.join(name_columns(form))} nor images "
        f"(but {list_first(list(heads))}): download the data set again"
    )


def _find_prepared(tree: Tree, name: str) -> _Found:
    folder = name[: -len("dataset_info.json")]
    return _Found("tfds", [name, *(other for other in tree.names if other.startswith(folder) and other != name)])


def _note_others(taken: list[str], others: list[str], images: int) -> tuple[str, ...]:
    if images:
        others = [*others, count(images, "image")]
    said = taken[0] if len(taken) == 1 else f"{', '.join(taken)} together"
    return (f"took {said}, not {list_first(others)}",) if others else (f"took {said}",)


def _note_ignored(names: list[str]) -> tuple[str, ...]:
    return (f"left aside what is no image: {list_first(sorted(names))}",) if names else ()
