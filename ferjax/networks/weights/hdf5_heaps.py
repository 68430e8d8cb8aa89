"""A look at an HDF5 file before its library reads it: damage that would have it read for ever.

HDF5's library (2.0.0) follows the list of free places in a local heap until its end, and keeps each
place: a list that a damaged byte makes a ring takes 400 MB more with every second, in C, where nothing can stop it.
"""

import mmap
import pathlib

_HEAP = b"HEAP"
_END = 1  # what the last free place says of the next one


def has_ring(path: pathlib.Path) -> bool:
    """Return whether a local heap's list of free places comes back to itself, in a file that begins as HDF5's do.

    The form is that of section III.D, 'Disk Format: Level 1D - Local Heaps', of the HDF5 File Format Specification.
    """
    with path.open("rb") as whole, mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ) as file:
        sizes = 13 if file[8] < 2 else 9  # by the version of the superblock
        offset_bytes, length_bytes = file[sizes : sizes + 2]
        if not {offset_bytes, length_bytes} <= {2, 4, 8}:
            return False  # which the library refuses
        # Free places lie side by side. More than the file has room for are those of a file that was made to be slow.
        seen, most = 0, len(file) // (2 * length_bytes)
        at = file.find(_HEAP)
        while at >= 0:
            found = _count_free(file, at, offset_bytes, length_bytes)
            if found is None or (seen := seen + found) > most:
                return True
            at = file.find(_HEAP, at + 1)
        return False


def _count_free(file: mmap.mmap, at: int, offset_bytes: int, length_bytes: int) -> int | None:
    """Count the free places of the heap at a place of the file; None where they have no end."""
    values = at + 8
    ends = values + length_bytes, values + 2 * length_bytes, values + 2 * length_bytes + offset_bytes
    size, free, address = (
        int.from_bytes(file[begin:end], "little") for begin, end in zip((values, *ends), ends, strict=False)
    )
    seen: set[int] = set()
    while free != _END:
        begin = address + free
        if free >= size or begin + 2 * length_bytes > len(file):
            break  # which the library finds by itself
        if free in seen:
            return None
        seen.add(free)
        free = int.from_bytes(file[begin : begin + length_bytes], "little")
    return len(seen)
