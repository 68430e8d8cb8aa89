"""The advice for a device whose memory is too small: before a step, where that is known, or behind it."""

import contextlib
import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import jax
from jaxtyping import PyTree

from ferjax import machine
from ferjax.documents.words import count
from ferjax.errors import UserError

logger = logging.getLogger("ferjax")

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# What is free is not free in one piece, and the allocator rounds up.
_USABLE = 0.8
# What a run takes beside its steps: threads and copies to save by, and the libraries that write and draw its report.
_BESIDE_BYTES = 600_000_000
NO_THREAD = "can't start new thread"  # what Python says
_NO_ROOM = "failed to map segment"  # what the loader of libraries says


@contextlib.contextmanager
def explain_memory(batch_size: int, seeds: int = 0) -> Iterator[None]:
    """Raise UserError, which says what to lower, where a device runs out of memory within the block.

    `batch_size` counts the images of a step, `seeds` the seeds that the run trains in one program. The sentence names
    the largest batch that would fit, by an estimate: what a step asks for grows with its images.
    """
    try:
        yield
    except (RuntimeError, MemoryError, ImportError) as error:
        if NO_THREAD in str(error) or _NO_ROOM in str(error):
            raise UserError(
                "The system gives this process no memory for another "
                f"{'thread' if NO_THREAD in str(error) else 'library'} (ulimit -v and -u say its limits): raise the "
                "limit, or lower train.batch_size; the same command goes on."
            ) from error
        if isinstance(error, ImportError):
            raise
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        fitting = estimate_batch(batch_size, str(error), find_free())
        estimate = f" (by an estimate, there is room for {count(fitting, 'image')})" if fitting else ""
        raise UserError(
            f"The device's memory does not hold a step of {batch_size} images{_advise_on(seeds)} lower "
            f"train.batch_size{estimate}, or eval.batch_size if validation failed."
        ) from error


class MemoryCheck:
    """A check that the CPU has as much memory free as a jitted function will ask for.

    Without it the system would kill the process without a word. The function takes `images` images, as many as the
    config's `key` says. What asks for more than is free is refused; what leaves next to nothing gets a warning, since
    it may end well.
    """

    def __init__(self, function: Any, key: str, images: int, seeds: int = 0) -> None:
        self._function, self._key, self._images, self._seeds = function, key, images, seeds
        self._checked: set[int] = set()

    def __call__(self, variant: int, *arguments: Any) -> None:
        """Compile the function for the arguments, which the call behind this need then not do, and compare.

        Each `variant` is checked once. Raises UserError, which names the largest batch that would fit, by an estimate.
        """
        devices = jax.local_devices()
        if variant in self._checked or devices[0].platform != "cpu":
            return  # an accelerator's allocator says so by itself
        self._checked.add(variant)
        if find_free() is None:
            return
        said = self._function.lower(*arguments).compile().memory_analysis()
        free = find_free()  # compiling has left some hundred megabytes
        if free is None or said is None:
            return
        # The arguments are there already, and an output that takes the memory of one asks for no other.
        asked = len(devices) * (said.temp_size_in_bytes + said.output_size_in_bytes - said.alias_size_in_bytes)
        # What this process freed and keeps is in pieces, of which no single one may be large enough.
        surely = free - machine.find_kept_memory() // 2
        fitting = int(self._images * (_USABLE * surely - _BESIDE_BYTES) / asked) if asked else self._images
        if fitting >= self._images:
            return
        estimate = f" (by an estimate, there is room for {count(fitting, 'image')})" if fitting > 0 else ""
        advice = f"lower {self._key}{estimate}."
        figures = (
            f"A step of {self._images} images needs {asked / 1e9:.2g} GB of memory, and {free / 1e9:.2g} GB are free"
        )
        if asked <= free:
            if len(self._checked) == 1:  # another variant's memory was enough by now
                logger.warning("%s: if the system ends this run without a word, %s", figures, advice)
            return
        raise UserError(f"{figures}{_advise_on(self._seeds)} {advice}")


def check_state(parameters: PyTree, state: PyTree) -> None:
    """Raise UserError where a state, of which only the shapes are known, takes more memory than is free."""
    free = find_free()
    asked = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    if free is not None and asked > free:
        number = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameters))
        raise UserError(
            f"The network's {number:,} parameters need {asked / 1e9:.3g} GB of memory with all that training keeps of "
            f"them, and {free / 1e9:.3g} GB are free: lower model.width or model.hidden."
        )


def _advise_on(seeds: int) -> str:
    return f" for {seeds} seeds: say parallel.seeds=in_turn, or" if seeds else ":"


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


def find_free() -> int | None:
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
