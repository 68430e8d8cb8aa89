"""Files that are written whole or not at all, and JSON line by line."""

import contextlib
import json
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ferjax.errors import UserError

# So old is what a process left that was killed while it wrote, and not what one in another container writes now.
_REMAINS_S = 3600.0


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a path beside `path` to write to; it is renamed to `path` at the end, or removed if the block raises.

    An OSError about the path beside it names `path`, which is what the user knows.
    """
    # Another process may write the same file at the same time: each renames its own.
    beside = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) == str(beside):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def remove_remains(*folders: pathlib.Path) -> None:
    """Remove what processes that were killed while they wrote left beside the files of some folders."""
    for path in (path for folder in folders for path in folder.glob(".*.new*")):
        with contextlib.suppress(OSError):
            if re.search(r"\.\d+\.new(\.|$)", path.name) and time.time() - path.stat().st_mtime > _REMAINS_S:
                path.unlink()


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a file as UTF-8, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_json(path: pathlib.Path, value: object, *, indent: int = 1, sort_keys: bool = False) -> None:
    """Write a value as JSON with a newline at the end, whole or not at all."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=sort_keys) + "\n")


def read_json_lines(path: pathlib.Path, fields: Mapping[str, type]) -> list[dict[str, Any]]:
    """Read a file with one JSON object a line, each of which has `fields`, a type for each name.

    A process that is killed while it writes leaves a part of its last line, without the newline: that part is left out.
    Raises UserError, with file and line, for any other line that is not such an object.
    """
    *texts, rest = path.read_text(encoding="utf-8", errors="replace").split("\n")
    filled = [(number, text) for number, text in enumerate(texts, start=1) if text.strip()]
    lines = _parse_together([text for _, text in filled], fields)
    if lines is None:
        lines = []
        for number, text in filled:
            try:
                lines.append(_parse_line(text, fields))
            except ValueError as error:
                raise UserError(f"{path}, line {number} cannot be read ({error}): mend or delete that line.") from None
    with contextlib.suppress(ValueError):
        # A line that is whole but for its newline counts: an object is complete only with its closing bracket.
        lines.append(_parse_line(rest, fields))
    return lines


def _parse_together(texts: Sequence[str], fields: Mapping[str, type]) -> list[dict[str, Any]] | None:
    """Read all lines at once, in half the time; None where `_parse_line` has to say what is wrong with one."""
    try:
        lines: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        return None
    kinds = [(name, (int, float) if kind is float else (kind,)) for name, kind in fields.items()]
    right = len(lines) == len(texts) and all(
        type(line) is dict and all(type(line.get(name)) in types for name, types in kinds) for line in lines
    )
    return lines if right else None


def _parse_line(text: str, fields: Mapping[str, type]) -> dict[str, Any]:
    """Read one line. Raises ValueError, which says what is wrong with it."""
    line = json.loads(text)
    if not isinstance(line, dict):
        raise ValueError("it is not an object in braces")
    for name, kind in fields.items():
        if name not in line:
            raise ValueError(f"it lacks '{name}'")
        value = line[name]
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise ValueError(f"'{name}' is {json.dumps(value)}")
    return line
