"""A value of each config key in turn, within and beyond its range: two steps are trained, or a sentence refuses it.

The runs are made in a process of its own, with limits on processor time and memory, so that a value that hangs or eats
the machine is seen too. A case is drawn from the seed and its number alone:
`python -m scripts.drills.values SEED FIRST COUNT FOLDER` makes any of them again.
"""

import argparse
import logging
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ferjax.keys import Choice, Each, Range
from scripts.drills.drill import expect
from scripts.drills.runs import QUICK_COMPILE, ROOT, SMALL, environment

_LONGEST_S = 240  # of processor time: two steps of the smallest network take some
_MORE_BYTES = 6 << 30  # of addresses than the process has at first
_BASE: Mapping[str, Any] = MappingProxyType({**SMALL, "train.epochs": 1, "train.steps": 2})
# What makes a run read the keys that begin so.
_WITH: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "augment.erase_px": {"augment.erase_prob": 1.0},
        "data.synthetic_rows": {"train.steps": 1},
        "loss.alpha": {"loss.name": "focal"},
        "loss.gamma": {"loss.name": "focal"},
        "model.resnet": {"model.name": "resnet18"},
        "optim.momentum": {"optim.name": "sgd"},
        "optim.muon": {"optim.name": "muon"},
        "optim.warmup": {"optim.schedule": "cosine"},
    }
)
_ODD = (None, "", "x" * 1000, -1, 2**63, 1e308, -0.0, float("nan"), float("inf"), (), (1, "a"), True, b"x")
_TEXTS = ("", "none", "a b", "~", "~nobody/x", "../x", "\0", "é", "\udc80", "a\nb", "gs://b/x", "=", "a=b", "%s{0}[")


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Train with `cases` values, in order of the keys; all faults are told, and raise Failed at the end."""
    seed, first, faults = chance.randrange(1_000_000), 0, []
    env = environment(folder / "cache", XLA_FLAGS=QUICK_COMPILE)
    ended = {"used": 0, "refused": 0}
    while first < cases:
        arguments = [sys.executable, "-m", "scripts.drills.values", str(seed), str(first), str(cases - first)]
        process = subprocess.Popen(
            [*arguments, str(folder)], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        case = "nothing"
        for line in process.stdout:
            word, _, said = line.rstrip("\n").partition(" ")
            if word == "case":
                first, case = first + 1, said
            elif word in ended:  # and the seconds it took
                ended[word] += 1
            else:
                faults.append(f"{case}: {said}")
                yield faults[-1]
        errors, code = process.stderr.read(), process.wait()
        if code:
            why = {-signal.SIGPROF: f"no end within {_LONGEST_S} s of processor time"}.get(code, errors[-500:])
            faults.append(f"{case}: ended with {code}: {why}")
            yield faults[-1]
            expect(case != "nothing", f"no run could be begun: {errors[-2000:]}")
    yield f"seed {seed}: {cases} values, {ended['used']} used, {ended['refused']} refused, {len(faults)} faults"
    expect(not faults, f"{len(faults)} values are neither used nor refused in a sentence, see above")


def draw_case(seed: int, number: int) -> tuple[str, Any, dict[str, Any]]:
    """Draw a key, its value, and all overrides of a run with that."""
    from ferjax.config import KEYS

    chance = random.Random(f"{seed} {number}")
    key = list(KEYS)[number % len(KEYS)]
    value = draw_value(KEYS[key].legal, KEYS[key].default, chance)
    more: dict[str, Any] = {}
    for start, overrides in _WITH.items():
        if key.startswith(start):
            more |= overrides
    return key, value, {**_BASE, **more, key: value}


def draw_value(legal: object, default: object, chance: random.Random) -> Any:
    """Draw a value for a key: mostly one at an edge of its range, at times one of another kind altogether."""
    if chance.random() < 0.15:
        return chance.choice(_ODD)
    if isinstance(legal, Choice):
        return chance.choice([*legal.words, "other"])
    if isinstance(legal, Each):
        return tuple(draw_value(legal.member, 0, chance) for _ in range(chance.randrange(4)))
    if isinstance(legal, Range):
        high = legal.high if legal.high < 1e300 else chance.choice([10, 1e6, 2**31, 1e30])
        drawn = chance.choice([legal.low, high, legal.low - 1, high + 1, chance.uniform(legal.low, high)])
        return int(drawn) if legal.whole and chance.random() < 0.8 else float(drawn)
    if isinstance(default, bool):
        return chance.choice([True, False])
    return chance.choice([default, *_TEXTS]) if isinstance(default, str) else default


def try_case(overrides: Mapping[str, Any], workdir: pathlib.Path) -> str:
    """Train; return 'used', 'refused', or 'fault' and what came instead, in one line."""
    import ferjax
    from ferjax.config import KeyMistake
    from ferjax.errors import UserError

    try:
        ferjax.train("quickstart", workdir, overrides)
    except (UserError, KeyMistake) as error:
        lines = str(error).strip().splitlines()
        return "refused" if len(lines) == 1 else f"fault more than a sentence: {error!r}"
    except Exception as error:
        return f"fault {type(error).__name__}: {' '.join(str(error).split())[:300]!r}"
    return "used"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make cases in this process; say each before it is made, and what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("seed", "first", "count"):
        parser.add_argument(name, type=int)
    parser.add_argument("folder", type=pathlib.Path)
    found = parser.parse_args(arguments)
    import jax

    logging.getLogger("ferjax").setLevel(logging.CRITICAL)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for name, value in {
        "jax_compilation_cache_dir": str(found.folder / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        jax.config.update(name, value)
    workdir, here = found.folder / "run", found.folder / "here"
    here.mkdir(exist_ok=True)
    os.chdir(here)  # what a value names is not to be this checkout
    try_case(_BASE, workdir)  # what all runs load counts for none
    _limit_memory()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in range(found.first, found.first + found.count):
        key, value, overrides = draw_case(found.seed, number)
        shutil.rmtree(workdir, ignore_errors=True)
        print(f"case {number}, {key}={value!r}", flush=True)
        signal.setitimer(signal.ITIMER_PROF, _LONGEST_S)
        start_s = time.process_time()
        said = try_case(overrides, workdir)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(f"{said} ({time.process_time() - start_s:.1f} s)", flush=True)
        if number % 20 == 19:
            jax.clear_caches()
    return 0


def _limit_memory() -> None:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
