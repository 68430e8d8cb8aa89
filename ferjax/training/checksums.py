"""The checksum of each file of a checkpoint, so that broken bytes are found before anything is made of them."""

import errno
import json
import pathlib
import zlib

FILE = "checksums.json"
_CHUNK_BYTES = 1 << 20


def write(checkpoint: pathlib.Path) -> None:
    """Write the CRC-32 of every file in the folders of a checkpoint; those beside the folders are the library's own."""
    sums = {name: _compute(checkpoint / name) for name in _list(checkpoint)}
    (checkpoint / FILE).write_text(json.dumps(sums, sort_keys=True) + "\n")


def find_damage(checkpoint: pathlib.Path) -> str | None:
    """Say which file is not as it was written, and how; None where all are, and for checkpoints without checksums."""
    try:
        sums = json.loads((checkpoint / FILE).read_text())
        for name, (size, crc32) in sums.items():
            found = _compute(checkpoint / name)
            if found[0] != size:
                return f"{name} has {found[0]:,} of {size:,} bytes"
            if found[1] != crc32:
                return f"{name} has other bytes than were written"
    except FileNotFoundError as error:
        # A checkpoint of an older version has no checksums.
        return None if pathlib.Path(error.filename).name == FILE else f"{error.filename} is missing"
    except (ValueError, TypeError, AttributeError):
        return f"{FILE} is not as it was written"
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return f"{error.filename}: {error.strerror}"
    return None


def _list(checkpoint: pathlib.Path) -> list[str]:
    files = (path for folder in checkpoint.iterdir() if folder.is_dir() for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(checkpoint).as_posix() for path in files)


def _compute(path: pathlib.Path) -> list[int]:
    """Return the size and the CRC-32 of a file."""
    size = crc32 = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            crc32 = zlib.crc32(chunk, crc32)
    return [size, crc32]
