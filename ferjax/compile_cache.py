"""The folder in which jax keeps what it compiled: entries that were cut off are removed.

jax writes an entry under its final name, so a process that is killed, or meets a full disk, just then leaves a part of
one. jax warns of it at every later start, compiles anew, and never replaces it. How it writes cannot be changed from
outside, so a command looks, as it starts, through the entries that it has not seen yet.
"""

import contextlib
import importlib
import json
import pathlib
import tempfile
import zlib
from typing import Any

from ferjax.files import write_json

_ENTRIES = "*-cache"  # jax's names
_SEEN = ".ferjax_seen.json"  # the entries that are whole, each with its size and time
_ZLIB, _ZSTD = b"\x78", b"\x28\xb5\x2f\xfd"  # how what jax packs begins: by zlib, or by zstd where there is one


def find_refusal(folder: pathlib.Path) -> OSError | None:
    """Make the folder, and return why no file can be written there; None where one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return error
    return None


def remove_broken(folder: pathlib.Path) -> list[str]:
    """Remove the entries that jax could not read, and return their names; each entry is unpacked only once.

    An entry that another process is writing just then goes too, which costs no more than compiling it again. A folder
    that is not there, or may not be written to, is left as it is.
    """
    seen = _read_seen(folder / _SEEN)
    whole: dict[str, list[int]] = {}
    broken = []
    for path in sorted(folder.glob(_ENTRIES)):
        with contextlib.suppress(OSError):  # another process was faster, or it may not be read or removed
            about = path.stat()
            mark = [about.st_size, about.st_mtime_ns]
            if seen.get(path.name) == mark or is_whole(path.read_bytes()):
                whole[path.name] = mark
            else:
                path.unlink()
                broken.append(path.name)
    if whole != seen:
        with contextlib.suppress(OSError):
            write_json(folder / _SEEN, whole, indent=0)
    return broken


def is_whole(entry: bytes) -> bool:
    """Return whether an entry can be unpacked; what is packed in a way that is not known here counts as whole."""
    if not any(entry[:4]):  # empty, or what a power cut leaves
        return False
    try:
        if entry.startswith(_ZLIB):
            zlib.decompress(entry)
        elif entry.startswith(_ZSTD):
            _unpack_zstd(entry)
    except Exception:  # each library has errors of its own
        return False
    return True


def _unpack_zstd(entry: bytes) -> None:
    """Unpack with Python's own zstd (3.14 and later) or the package zstandard, as jax does; nothing without them."""
    with contextlib.suppress(ImportError):
        importlib.import_module("compression.zstd").decompress(entry)
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("zstandard").ZstdDecompressor().decompress(entry)


def _read_seen(path: pathlib.Path) -> dict[str, Any]:
    """Read which entries are known to be whole; none where the file is missing or broken."""
    try:
        seen = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}
