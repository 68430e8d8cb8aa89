"""How much memory a device can still have: of an accelerator, or of this process with all the limits on it."""

import contextlib
import pathlib
import re
import resource
from collections.abc import Iterator

import jax

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
# The names of version 2 and of version 1: the limit, what is used, and how much of that is files' content, which the
# kernel drops when it needs room.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def find_free() -> int | None:
    """Find how many bytes the first device, or this process on a CPU, can still have; None where nothing says it."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if {"bytes_limit", "bytes_in_use"} <= stats.keys() else None
    left = list(list_groups_free())
    if (available := _read("/proc/meminfo", "MemAvailable")) is not None:
        left.append(available + (_read("/proc/meminfo", "SwapFree") or 0))
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and (used := _read("/proc/self/status", "VmSize")) is not None:
        left.append(limit - used)
    return max(min(left), 0) if left else None


def list_groups_free() -> Iterator[int]:
    """Yield what is left within the limit of each control group that this process is in, whichever version they are."""
    for folder in list_groups():
        for limit, used, cached in _FILES:
            with contextlib.suppress(OSError, ValueError):  # a version's files are missing; 'max' where there is none
                left = int((folder / limit).read_text()) - int((folder / used).read_text())
                found = re.search(rf"^{cached} (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
                yield left + (int(found[1]) if found else 0)


def list_groups() -> list[pathlib.Path]:
    """List the folders of this process's groups and of those above; a container's own is often mounted as the root."""
    folders = [_CGROUPS, _CGROUPS / "memory"]
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers in ("", "memory"):
                parts = [part for part in place.split("/") if part]
                root = _CGROUPS / controllers
                folders += [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return folders


def _read(path: str, name: str) -> int | None:
    """Read the bytes of a line like 'MemAvailable: 123 kB'."""
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(path).read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return None
