"""What differs between Linux, macOS and Windows: it is asked here and nowhere else.

Only Linux was tried; the others' parts are tested by taking away what they lack.
"""

import contextlib
import ctypes
import getpass
import glob
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

# A shell's code for a program that wrote into a pipe which nobody reads: 128 and the number of SIGPIPE.
CLOSED_PIPE = 128 + 13
# glibc's mallopt: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX (malloc.h).
_MALLOPT: Mapping[int, int] = MappingProxyType({-4: 0, -1: -1, -8: 1})
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
# The names of version 2 and of version 1: the limit, what is used, and how much of that is files' content, which the
# kernel drops when it needs room.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
# Of a person, of a cluster or another process, of a terminal that was closed, of a limit on CPU time; Ctrl-Break, which
# is how one process tells another on Windows.

_INTERRUPTS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGBREAK")


def list_interrupts() -> tuple[signal.Signals, ...]:
    """List the signals of this system by which a run is asked to save and leave."""
    return tuple(getattr(signal, name) for name in _INTERRUPTS if hasattr(signal, name))


def is_ignored_hangup(number: int) -> bool:
    """Return whether `number` is the signal of a closed terminal, and nohup has this process ignore it."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN


def count_processors() -> int:
    """Count the processors that this process may use, which can be fewer than the machine has (taskset, Slurm)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def detach() -> dict[str, Any]:
    """Return how subprocess.Popen starts a process that a Ctrl-C in this terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def pass_on(process: "subprocess.Popen[bytes]", signum: int) -> None:
    """Send an interrupt to a process that was started with `detach`; Windows would end it at once by any other."""
    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.send_signal(signal.Signals(signum))


def name_user() -> str:
    """Return what tells this machine's users apart in the name of a folder; a number where there are numbers."""
    if hasattr(os, "getuid"):
        return str(os.getuid())
    with contextlib.suppress(OSError, KeyError, ImportError):
        return re.sub(r"[^\w-]", "_", getpass.getuser())
    return "user"


def is_mine(path: pathlib.Path) -> bool:
    """Return whether this user owns a file or folder; always where owners have no numbers."""
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def has_accelerator_files() -> bool:
    """Return whether a GPU's or TPU's driver has files here, without asking it."""
    return any(glob.glob(pattern) for pattern in ("/dev/nvidia[0-9]*", "/dev/accel*", "/dev/vfio/[0-9]*"))


def find_camera(number: int) -> tuple[str, str, dict[str, str]] | None:
    """Return the name of a camera for FFmpeg, the format that reads it and its options; None where there is none."""
    if sys.platform == "darwin":
        return str(number), "avfoundation", {"framerate": "30"}
    return None if sys.platform == "win32" else (f"/dev/video{number}", "v4l2", {})


def keep_freed_memory() -> None:
    """Have the C library keep what this process frees; does nothing where that is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def find_peak_memory() -> int | None:
    """Return the most memory in bytes that this process has had at once; None where nothing says it."""
    if (peak := _read_kib("/proc/self/status", "VmHWM")) is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def find_free_memory() -> int | None:
    """Return how many bytes this process can still have: the least of what is free and of its limits.

    What it freed and the C library keeps for it counts too. None where nothing says it.
    """
    left = list(list_groups_free())
    if (available := _read_kib("/proc/meminfo", "MemAvailable")) is not None:
        left.append(available + (_read_kib("/proc/meminfo", "SwapFree") or 0))
    with contextlib.suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY and (used := _read_kib("/proc/self/status", "VmSize")) is not None:
            left.append(limit - used)
    return max(min(left), 0) + find_kept_memory() if left else None


def find_kept_memory() -> int:
    """Return how many bytes this process freed that glibc keeps for it (`keep_freed_memory`); 0 for another library."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if mallinfo is None:
        return 0
    # struct mallinfo2 of malloc.h: ten numbers, of which the ninth is what is free within the heap.
    mallinfo.restype = type(
        "_Mallinfo", (ctypes.Structure,), {"_fields_": [(f"n{i}", ctypes.c_size_t) for i in range(10)]}
    )
    return int(mallinfo().n8)


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


def read_cpu_flags() -> frozenset[str]:
    """Return the names of what this CPU can do, as Linux has them; empty where nothing says it."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^flags\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return frozenset(found[1].split())
    return frozenset()


def _read_kib(path: str, name: str) -> int | None:
    """Read the bytes of a line like 'MemAvailable: 123 kB'."""
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(path).read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return None
