"""The advice for a device whose memory is too small."""

import contextlib
import re
from collections.abc import Iterator

import jax

from ferjax import machine
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
    return machine.find_free_memory()


def describe_peak() -> str:
    """Return a sentence of the most memory that this process, and its first GPU or TPU, have used so far."""
    device = jax.local_devices()[0]
    stats = (device.memory_stats() or {}) if device.platform != "cpu" else {}
    told = {f"on {device.device_kind}": stats.get("peak_bytes_in_use"), "of the process": machine.find_peak_memory()}
    known = [f"{bytes_ / 1e6:,.0f} MB {where}" for where, bytes_ in told.items() if bytes_ is not None]
    return f"Peak memory: {', '.join(known) or 'unknown here'}."
