"""SIGKILL at random moments, from reading the data to the report: every start goes on, to the straight run's bits."""

import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from scripts.drills.drill import expect
from scripts.drills.runs import check_same, command, environment, finish, strip

_SPACE = ("--space", "optim.learning_rate=1e-3,1e-4")
# What is killed: the command, its further flags, and the runs that it leaves.
_KINDS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "a run": ("train", (), ""),
    "seeds together": ("train", ("--config.train.seeds=(0, 1)", "--config.parallel.devices=0"), "seed_*"),
    "a search": ("search", _SPACE, "trials/[!.]*"),
}


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Kill `cases` times in all, in chains of starts that end where one comes to its end."""
    lengths_s: dict[str, float] = {}
    for kind, (name, more, _) in _KINDS.items():
        start_s = time.monotonic()
        finish(command(folder / f"straight {kind}", *more, name=name), environment(folder / "cache"))
        lengths_s[kind] = time.monotonic() - start_s
    killed: collections.Counter[str] = collections.Counter()
    chains: collections.Counter[str] = collections.Counter()
    chain = 0
    while killed.total() < cases:
        kind = list(_KINDS)[(0, 0, 1, 2)[chain % 4]]
        name, more, runs = _KINDS[kind]
        # Every third chain begins with an empty cache, so that the data and the first compilation are hit too.
        env = environment(folder / (f"cache_{chain}" if chain % 3 == 0 else "cache"))
        workdir = folder / f"chain_{chain}"
        for start in range(12):
            last = start == 11 or killed.total() >= cases
            arguments = command(workdir, *more, name=name)
            code, errors = _start(arguments, env, None if last else chance.uniform(0, 1.2 * lengths_s[kind]))
            if code == 0:
                break
            expect(code == -signal.SIGKILL, f"{kind}, chain {chain}, start {start}: code {code}: {strip(errors)}")
            killed[kind] += 1
        what = f"{kind}, chain {chain}, {start} kills"
        expect(code == 0, f"{what}: it never came to its end")
        whole = folder / f"straight {kind}"
        expected = sorted(whole.glob(runs)) if runs else [whole]
        expect(len(expected) == (2 if runs else 1), f"{what}: {len(expected)} runs")
        for straight in expected:
            check_same(straight, workdir / straight.relative_to(whole), what)
        if name == "search":
            scores = [_read_scores(found / "search.json") for found in (whole, workdir)]
            expect(scores[0] == scores[1], f"{what}: search.json differs")
        chains[kind] += 1
        chain += 1
    yield (
        f"{killed.total()} kills in {chains.total()} chains ({dict(killed)}; {dict(chains)}): every start went on, "
        "and all end in the straight run's bits, lines and report"
    )


def _start(arguments: Sequence[str], env: Mapping[str, str], kill_after_s: float | None) -> tuple[int, str]:
    """Start a command in a session of its own, kill all of it after some time, and return its code and errors."""
    process = subprocess.Popen(
        arguments, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=kill_after_s or 900)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
    return process.returncode, errors


def _read_scores(path: pathlib.Path) -> list[object]:
    return [(trial["values"], trial["score"], trial["state"]) for trial in json.loads(path.read_text())["trials"]]
