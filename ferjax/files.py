"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path beside `path` to write to; renamed over it at the end of the block, removed if the block raises."""
    # Another process may write the same file: each renames its own.
    beside = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
