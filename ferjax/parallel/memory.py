"""The advice for a device whose memory is too small."""

import contextlib
import pathlib
import re
import resource
from collections.abc import Iterator

import jax

from ferjax.errors import UserError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# What is free is not free in one piece, and the allocator rounds up.
_USABLE = 0.8


@contextlib.contextmanager
def explain_memory(batch_size: int, seeds: int = 0) -> Iterator[None]:
    """Raise UserError, which says what to lower, where a device runs out of memory within the block.

    `batch_size` counts the images of a step, `seeds` the seeds that the run trains in one program. The sentence names
    the largest batch that would fit, by an estimate: what a step asks for grows with its images.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        first = f" for {seeds} seeds: say --config.parallel.seeds=in_turn, or" if seeds else ":"
        fitting = estimate_batch(batch_size, str(error), _find_free())
        estimate = f" (by an estimate, {fitting} images fit)" if fitting else ""
        raise UserError(
            f"The device's memory does not hold a step of {batch_size} images{first} lower --config.train.batch_size"
            f"{estimate}, or --config.eval.batch_size if validation failed."
        ) from error


def estimate_batch(batch_size: int, said: str, free: int | None) -> int | None:
    """Estimate the largest batch that fits where `said` names what was asked for, and `free` bytes are left.

    XLA asks for all of a step's intermediate values in one piece, in proportion to the images. None without figures,
    or where they say that the batch does fit.
    """
    found = re.search(r"allocat\w*\s+([\d.]+)\s*([KMGT]?)i?B?", said)
    if not found or free is None:
        return None
    asked = float(found[1].rstrip(".")) * _UNITS[found[2]]
    fitting = int(batch_size * _USABLE * free / asked) if asked else batch_size
    return fitting if 1 <= fitting < batch_size else None


def _find_free() -> int | None:
    """Find how many bytes the first device, or this process on a CPU, can still have; None where nothing says it."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if {"bytes_limit", "bytes_in_use"} <= stats.keys() else None
    left = []
    if (available := _read("/proc/meminfo", "MemAvailable")) is not None:
        left.append(available)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and (used := _read("/proc/self/status", "VmSize")) is not None:
        left.append(limit - used)
    with contextlib.suppress(OSError, ValueError):  # a container's own limit; 'max' where there is none
        group = pathlib.Path("/sys/fs/cgroup")
        left.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(min(left), 0) if left else None


def _read(path: str, name: str) -> int | None:
    """Read the bytes of a line like 'MemAvailable: 123 kB'."""
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(path).read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return None
