"""Parsed rows kept on disk under a digest of what they were parsed from, so that the second start takes no time.

Hashing 271 MB takes as long as a whole start should, so an index remembers which digest a path had, with its size,
times and inode; a file that was moved or touched is hashed again and still finds its rows.
"""

import hashlib
import io
import json
import logging
import os
import pathlib
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ferjax.data.rows import EMOTIONS, SIDE_PX, USAGES, Rows

FORMAT = 1  # raise it when the same file would now be read to other rows, or the layout of a cache file changes
_PIXELS = SIDE_PX * SIDE_PX
# A file that changed this recently may change again without its times telling.
_CLOCK_TICK_NS = 50_000_000

logger = logging.getLogger("ferjax")


def cache_dir() -> pathlib.Path:
    """$FERJAX_CACHE, else $XDG_CACHE_HOME/ferjax, else ~/.cache/ferjax; not created."""
    if own := os.environ.get("FERJAX_CACHE"):
        return pathlib.Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "ferjax"


def hash_file(path: pathlib.Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(files: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 of names and contents, in the order given."""
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def find_digest(path: pathlib.Path, stats: dict[str, os.stat_result], compute: Callable[[], str]) -> str:
    """The digest of a file or folder, from the index if none of its files (name: status) changed, else computed."""
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


def load(digest: str, on_bad_row: str) -> Rows | None:
    """The rows kept for this content, or None if there are none or they did not survive intact."""
    path = _rows_path(digest, on_bad_row)
    try:
        with open(path, "rb") as file:
            about = json.loads(file.readline())
            n = about["rows"]
            data = np.fromfile(file, np.uint8)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        data, n, about = np.empty(0, np.uint8), 0, {"crc32": None}
    if len(data) != n * (_PIXELS + 2) or zlib.crc32(data.data) != about["crc32"]:
        logger.warning("%s is damaged, so the data set is read anew", path)
        return None
    pixels, emotion, usage = np.split(data, [n * _PIXELS, n * (_PIXELS + 1)])
    return Rows(
        pixels=pixels.reshape(n, SIDE_PX, SIDE_PX),
        emotion=emotion.astype(np.int32),
        usage=usage,
        digest=digest,
        skipped=tuple(about["skipped"]),
        notes=tuple(about["notes"]),
    )


def save(rows: Rows, on_bad_row: str) -> None:
    """Keep rows under their digest; where that can't be done, a warning says so and the program goes on."""
    assert rows.emotion.max(initial=0) < len(EMOTIONS)
    assert rows.usage.max(initial=0) < len(USAGES)
    parts = [np.ascontiguousarray(rows.pixels).reshape(-1), rows.emotion.astype(np.uint8), rows.usage]
    crc32 = 0
    for part in parts:
        crc32 = zlib.crc32(part.data, crc32)
    about = {"rows": len(rows), "crc32": crc32, "skipped": rows.skipped, "notes": rows.notes}
    _write(_rows_path(rows.digest, on_bad_row), [json.dumps(about).encode() + b"\n", *parts])


def load_arrays(name: str) -> dict[str, np.ndarray] | None:
    """The arrays kept under a name, or None if there are none or they did not survive intact."""
    path = cache_dir() / "data" / name
    try:
        with (
            open(path, "rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):  # a zip, which holds a checksum of each array
            return dict(arrays)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        logger.warning("%s is damaged, so it is made anew", path)
        return None


def save_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays under a name; where that can't be done, a warning says so and the program goes on."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    _write(cache_dir() / "data" / name, [buffer.getbuffer()])


def _rows_path(digest: str, on_bad_row: str) -> pathlib.Path:
    return cache_dir() / "data" / f"{digest}-{on_bad_row}-v{FORMAT}.rows"


def _write(path: pathlib.Path, parts: list[Any]) -> None:
    """Write a file whole or not at all, whoever else is writing it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem[:16], suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                for part in parts:
                    file.write(part)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        logger.warning("Cannot write the cache (%s): the next start will do the work again", error)
