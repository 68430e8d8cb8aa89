"""Mutated weight files by the hundred thousand: each is read, or refused in one sentence.

Every kind is read in a process of its own, so that a crash, a hang or too much memory in a library written in C is seen
too; nothing is started or imported for a file. A case is drawn from the seed and its number alone:
`python -m scripts.drills.weights KIND SEED FIRST COUNT FOLDER` makes any of them again.
"""

import argparse
import collections
import logging
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence

from scripts.drills.drill import expect
from scripts.drills.runs import ROOT, environment

KINDS = ("h5", "safetensors", "pth", "old pth")
_LONGEST_S = 20  # for a thousand files, of which each takes a millisecond or two
_AT_ONCE = 1000
_A_LINE = 25_000  # files, after which the drill says how far it is
_MORE_MB = 512  # of addresses than the process has at first
_OVERHEAD_BYTES = 400_000  # of Python's objects, whatever the file
# Every so many a file has some megabytes, beside which the overhead is nothing, and is broken where its lists stand.
_LARGE_EVERY, _LARGE_FILTERS, _LISTS_BYTES = 50, 20_000, 4096


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Mutate `cases` files of each kind."""
    seed, env = chance.randrange(1_000_000), environment(folder / "cache")
    for kind in KINDS:
        place = folder / kind.replace(" ", "_")
        place.mkdir()
        arguments = [sys.executable, "-m", "scripts.drills.weights", kind, str(seed), "0", str(cases), str(place)]
        process = subprocess.Popen(
            arguments, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield line.rstrip("\n")
        said = process.stderr.read().strip().splitlines()[-1:] or [""]
        code = process.wait()
        why = {-signal.SIGPROF: "it hangs", -signal.SIGSEGV: "it crashes"}.get(code, said[0])
        expect(code == 0, f"{kind}, seed {seed}: {why} ({code}); the file is {place / 'file'}")


def read_mutated(kind: str, seed: int, numbers: range, folder: pathlib.Path) -> collections.Counter[str]:
    """Read the mutated files of these numbers; return how many were used and how many refused."""
    from ferjax.errors import UserError
    from ferjax.networks.weights.formats import open_tensors
    from scripts.drills.fuzz import create_weights, mutate

    small, large = (create_weights(folder, filters)[kind][0] for filters in (8, _LARGE_FILTERS))
    path = folder / "file"
    ended: collections.Counter[str] = collections.Counter()
    for number in numbers:
        if number % _AT_ONCE == 0:
            signal.setitimer(signal.ITIMER_PROF, _LONGEST_S)  # of processor time: the machine may be busy
        chance = random.Random(f"{seed} {kind} {number}")
        if number % _LARGE_EVERY:
            mutated = mutate(small, chance)
        elif chance.random() < 0.5:
            mutated = mutate(large[:_LISTS_BYTES], chance) + large[_LISTS_BYTES:]
        else:
            mutated = large[:-_LISTS_BYTES] + mutate(large[-_LISTS_BYTES:], chance)
        path.write_bytes(mutated)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            with open_tensors(path) as (_, found):
                for tensor in found.values():
                    tensor.read()
            ended["used"] += 1
        except UserError as error:
            expect("\n" not in str(error).strip(), f"{kind}, number {number}: more than a sentence: {error}")
            ended["refused"] += 1
        _, peak = tracemalloc.get_traced_memory()
        allowed = 2 * len(mutated) + _OVERHEAD_BYTES
        expect(peak - before <= allowed, f"{kind}, number {number}: {peak - before} bytes for {len(mutated)}")
    signal.setitimer(signal.ITIMER_PROF, 0)
    return ended


def _limit_memory() -> None:
    """Let this process have little more than it has, so that what a library allocates beside Python is seen too."""
    used_kb = next(
        int(line.split()[1])
        for line in pathlib.Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize")
    )
    most = (used_kb << 10) + (_MORE_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read mutated files of one kind in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    for name in ("seed", "first", "count"):
        parser.add_argument(name, type=int)
    parser.add_argument("folder", type=pathlib.Path)
    found = parser.parse_args(arguments)
    logging.getLogger("ferjax").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    import h5py  # noqa: F401 - what is imported later would count as memory of a file
    import ml_dtypes  # noqa: F401
    import safetensors.numpy  # noqa: F401

    read_mutated(found.kind, found.seed, range(10), found.folder)
    _limit_memory()
    tracemalloc.start()
    ended: collections.Counter[str] = collections.Counter()
    start_s, after = time.process_time(), found.first + found.count
    for first in range(found.first, after, _A_LINE):
        ended += read_mutated(found.kind, found.seed, range(first, min(first + _A_LINE, after)), found.folder)
        each_ms = 1000 * (time.process_time() - start_s) / ended.total()
        said = f"{ended['used']} used, {ended['refused']} refused, {each_ms:.2f} ms of processor time a file"
        print(f"{found.kind}, seed {found.seed}: {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
