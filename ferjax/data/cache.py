"""Rows kept on disk under a digest of the files that they were read from, so that a second start reads them at once.

Hashing 271 MB takes as long as a whole start should. An index therefore remembers which digest a path had, with the
size, times and inode of its files. A file that was moved or touched is hashed again, and its rows are still found.
"""

import dataclasses
import functools
import hashlib
import io
import json
import logging
import math
import os
import pathlib
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ferjax import machine, paths
from ferjax.data.rows import Rows
from ferjax.files import remove_remains, replacing

FORMAT = 3  # increase it when the same file would now give other rows, or the layout of a cache file changes
# A file that changed this recently may change again without a difference in its times.
_CLOCK_TICK_NS = 50_000_000
# The fields of Rows that a file in the cache holds. Wide numbers come first, so that they lie at even addresses.
_ARRAYS = ("labels", "targets", "images", "usage")
_TEXTS = ("classes", "usages", "skipped", "notes")

logger = logging.getLogger("ferjax")


def cache_dir() -> pathlib.Path:
    """Return the cache's folder: $FERJAX_CACHE, else $XDG_CACHE_HOME/ferjax, else ~/.cache/ferjax; it may not exist.

    A user without a home folder has it in the temporary folder.
    """
    if own := os.environ.get("FERJAX_CACHE"):
        return paths.parse(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return paths.parse(base) / "ferjax"
    home = paths.find_home()
    return home / ".cache" / "ferjax" if home else _choose_temporary()


@functools.cache
def _choose_temporary() -> pathlib.Path:
    folder = pathlib.Path(tempfile.gettempdir()) / f"ferjax-cache-{machine.name_user()}"
    logger.warning("There is no home folder, so the cache is in %s; FERJAX_CACHE names another place", folder)
    return folder


def hash_file(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(files: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 of names and contents, in the order given."""
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def find_digest(path: pathlib.Path, stats: dict[str, os.stat_result], compute: Callable[[], str]) -> str:
    """Return the digest of a file or folder: from the index if none of its files changed, else computed.

    `stats` are the files' names and what the system says of each.
    """
    place = os.path.realpath(path)
    facts = sorted((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in stats.items())
    state = hashlib.sha256(repr((FORMAT, facts)).encode("utf-8", "backslashreplace")).hexdigest()
    newest_ns = max((s.st_ctime_ns for s in stats.values()), default=0)
    entry = cache_dir() / "data" / "index" / (hashlib.sha256(os.fsencode(place)).hexdigest() + ".json")
    try:
        known = json.loads(entry.read_bytes())
        if known["path"] == place and known["state"] == state:
            return str(known["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    settled = time.time_ns() - newest_ns > _CLOCK_TICK_NS
    digest = compute()
    if settled:
        _write(entry, [json.dumps({"path": place, "state": state, "digest": digest}).encode()])
    return digest


def read_once(digest: str, how: str, read: Callable[[], Rows]) -> Rows:
    """Return the rows kept for this content, or else call `read` and keep what it gives.

    `how` names the way in which the content was read, such as 'fer2013-skip', since another way gives other rows.
    """
    rows = load(digest, how)
    if rows is None:
        rows = dataclasses.replace(read(), digest=digest)
        save(rows, how)
    return rows


def load(digest: str, how: str) -> Rows | None:
    """Return the rows kept for this content, or None where there are none or their file is damaged."""
    path = _rows_path(digest, how)
    try:
        with open(path, "rb") as file:
            about = json.loads(file.readline())
            data = np.fromfile(file, np.uint8)
        shapes = {name: (np.dtype(kind), tuple(shape)) for name, (kind, shape) in about["arrays"].items()}
        sizes = [kind.itemsize * math.prod(shape) for kind, shape in shapes.values()]
        if len(data) != sum(sizes) or zlib.crc32(data.data) != about["crc32"]:
            raise ValueError("the checksum differs")
        parts = np.split(data, np.cumsum(sizes)[:-1])
        arrays: dict[str, Any] = {
            name: part.view(kind).reshape(shape)
            for (name, (kind, shape)), part in zip(shapes.items(), parts, strict=True)
        }
        texts: dict[str, Any] = {name: tuple(about[name]) for name in _TEXTS}
        return Rows(**arrays, **texts, digest=digest)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s is damaged, so the data set is read anew", path)
        return None


def save(rows: Rows, how: str) -> None:
    """Keep rows under their digest; where that cannot be done, a warning says so and the program goes on."""
    arrays = {name: getattr(rows, name) for name in _ARRAYS if getattr(rows, name) is not None}
    parts = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays.values()]
    crc32 = 0
    for part in parts:
        crc32 = zlib.crc32(part.data, crc32)
    about = {
        "crc32": crc32,
        "arrays": {name: (array.dtype.str, array.shape) for name, array in arrays.items()},
        **{name: getattr(rows, name) for name in _TEXTS},
    }
    _write(_rows_path(rows.digest, how), [json.dumps(about).encode() + b"\n", *parts])


def load_arrays(name: str) -> dict[str, np.ndarray] | None:
    """Return the arrays kept under a name, or None where there are none or their file is damaged."""
    path = cache_dir() / "data" / name
    try:
        # The file is a zip, which holds a checksum of each array.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        logger.warning("%s is damaged, so it is made anew", path)
        return None


def save_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays under a name; where that cannot be done, a warning says so and the program goes on."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    _write(cache_dir() / "data" / name, [buffer.getbuffer()])


def _rows_path(digest: str, how: str) -> pathlib.Path:
    return cache_dir() / "data" / f"{digest}-{how}-v{FORMAT}.rows"


def _write(path: pathlib.Path, parts: list[Any]) -> None:
    """Write a file of the cache, or warn that this cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_remains(path.parent)
        with replacing(path) as beside, open(beside, "wb") as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        warn_unwritable(cache_dir(), error)


_told: set[pathlib.Path] = set()


def warn_unwritable(folder: pathlib.Path, error: OSError, variable: str = "FERJAX_CACHE") -> None:
    """Warn, once for each folder, that what would be kept there has to be done again; `variable` names another one."""
    if folder not in _told:
        _told.add(folder)
        logger.warning(
            "Nothing can be kept in %s (%s), so that the next start will do the same work again: name another folder "
            "with %s.",
            *(folder, error.strerror or error, variable),
        )
