"""Two runs on one folder: never two writers, and never a lock that nobody can open."""

import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator

from ferjax.training.places import list_places
from scripts.drills.drill import expect
from scripts.drills.runs import LONGEST_S, ROOT, check_same, check_sentence, command, environment, finish

_LONG = ("--config.train.epochs=100000", "--config.train.early_stop_patience_epochs=0")


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Start a second run while a first one trains, here and where it cannot see the first one's process; then kill."""
    env, straight = environment(folder / "cache"), folder / "straight"
    finish(command(straight), env)
    apart = ["unshare", "--pid", "--fork"] if os.geteuid() == 0 else []
    refused = {"here": 0, "in another pid namespace": 0}
    for case in range(cases):
        workdir = folder / f"run_{case}"
        first = subprocess.Popen(
            command(workdir, *_LONG), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
        )
        try:
            deadline_s = time.monotonic() + LONGEST_S
            while not list_places(workdir / "checkpoints"):
                expect(first.poll() is None and time.monotonic() < deadline_s, "the first run did not begin")
                time.sleep(0.1)
            where = "in another pid namespace" if case % 2 and apart else "here"
            second = [*(apart if case % 2 else []), *command(workdir, *_LONG)]
            done = subprocess.run(
                second, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd=ROOT
            )
            sentence = check_sentence(done, f"a second run {where}")
            expect("Another process is training in" in sentence, f"a second run {where}: {sentence}")
            refused[where] += 1
            time.sleep(chance.uniform(0, 1))
            expect(first.poll() is None, "the first run ended with the second")
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        # The file of the lock stays behind a kill, and whatever stands in it: the next start takes it.
        (workdir / ".lock").write_text(f"{os.getpid()}\n")
        after = subprocess.run(
            command(workdir, *_LONG, "--config.train.steps=1"),
            env=env,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
            cwd=ROOT,
        )
        expect(after.returncode == 0, f"after the kill: {after.stderr[-2000:]}")
    yield from _start_together(folder, straight, env, max(cases, 2))
    stale = folder / "stale"
    stale.mkdir()
    (stale / ".lock").write_text("12345 another-host 1999-01-01\n")
    finish(command(stale), env)
    check_same(straight, stale, "a folder with a stale lock")
    yield f"{cases} second runs, each refused in a sentence: {refused}; after a kill, and with a stale lock, all go on"


def _start_together(folder: pathlib.Path, straight: pathlib.Path, env: dict[str, str], count: int) -> Iterator[str]:
    """Start as many runs on one folder at the same moment."""
    workdir = folder / "together"
    running = [
        subprocess.Popen(
            command(workdir), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(count)
    ]
    ended = [(*process.communicate(timeout=LONGEST_S), process.returncode) for process in running]
    refused = [errors for _, errors, code in ended if code]
    expect(len(refused) < count, f"{count} starts at once, and all were refused: {refused[0][-2000:]}")
    for errors in refused:
        expect("Another process is training in" in errors and "Traceback" not in errors, f"at once: {errors[-2000:]}")
    check_same(straight, workdir, f"{count} starts at once")
    yield f"of {count} starts at once {count - len(refused)} trained, one after the other, and the others were refused"
