"""Two processes of one run: one is killed, one stands still, a checkpoint is damaged, the network is cut."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ferjax.training.places import list_places
from scripts.drills.drill import Skipped, expect
from scripts.drills.runs import QUICK_COMPILE, ROOT, check_same, command, environment, measure_slowness, strip

# After so long no process may be left that waits for another; times the machine's slowness, where others use it too.
LONGEST_S = 60
_LOST = "Another process of this run is gone"
_KEYS = {
    "data.synthetic_rows": 1400,
    "train.epochs": 100,
    "train.steps": 300,
    "train.early_stop_patience_epochs": 0,
    "train.log_every_steps": 1,
    "parallel.devices": 0,
}
# A run under way has written as many lines.
_UNDER_WAY = 20


class Pair:
    """Processes 0 and 1 of a run, in a network of their own where one is given."""

    def __init__(self, workdir: pathlib.Path, env: dict[str, str], net: "_Net | None" = None) -> None:
        self.metrics = workdir / "metrics.jsonl"
        more = [f"--config.{key}={value}" for key, value in _KEYS.items()]
        more += [f"--coordinator_address=127.0.0.1:{_find_port()}", "--process_count=2"]
        self.processes = [
            subprocess.Popen(
                [*(net.prefix if net else ()), *command(workdir, *more, f"--process_index={index}")],
                env=env,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in (0, 1)
        ]

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def wait_under_way(self) -> None:
        """Return once the run has taken some steps more than it had."""
        before = self._count_lines()
        deadline_s = time.monotonic() + 600 * measure_slowness()
        while self._count_lines() < before + _UNDER_WAY:
            ended = [process for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > deadline_s:
                said = [strip(process.communicate()[1]) for process in ended]
                raise AssertionError(f"the two processes did not begin: {said}")
            time.sleep(0.05)

    def _count_lines(self) -> int:
        return self.metrics.read_text().count("\n") if self.metrics.exists() else 0

    def finish(self, within_s: float) -> list["_End"]:
        """Return how both ended; raise Failed where one has not within some seconds."""
        within_s *= measure_slowness()
        ends, deadline_s = [], time.monotonic() + within_s
        for index, process in enumerate(self.processes):
            try:
                _, errors = process.communicate(timeout=max(deadline_s - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                expect(False, f"process {index} still waits after {within_s:.0f} s")
            ends.append(_End(process.returncode, errors))
        return ends


class _End(NamedTuple):
    code: int
    errors: str


class _Net:
    """A network of its own, in which both processes are; needs root, who may make network namespaces."""

    def __init__(self) -> None:
        self._name = f"ferjax{os.getpid()}"

    def __enter__(self) -> "_Net":
        try:
            _ip(f"netns add {self._name}")
            _ip(f"-n {self._name} link set lo up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise Skipped(f"no network namespace can be made here ({error})") from error
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip(f"netns del {self._name}")

    @property
    def prefix(self) -> Sequence[str]:
        """What a command begins with that runs in this network."""
        return ("ip", "netns", "exec", self._name)

    def cut(self) -> None:
        """Let no packet pass any more; no connection is closed."""
        _ip(f"-n {self._name} link set lo down")


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)


def _find_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Let each accident happen `cases` times, at a random moment of training; then both go on to the straight end."""
    env, straight = environment(folder / "cache", XLA_FLAGS=QUICK_COMPILE), folder / "straight"
    _complete(straight, env)
    for case in range(cases):
        for victim in (1, 0):
            workdir = folder / f"killed_{victim}_{case}"
            with Pair(workdir, env) as pair:
                _wait(pair, chance)
                pair.processes[victim].kill()
                slowest_s = _check_ends(pair, {victim: -signal.SIGKILL}, f"process {victim} is killed")
            _complete(workdir, env)
            check_same(straight, workdir, f"process {victim} was killed")
            yield f"process {victim} is killed: the other ends in a sentence after {slowest_s:.0f} s, and both go on"
        yield from _stand_still(folder / f"short_{case}", straight, env, chance, stopped_s=8)
        yield from _stand_still(folder / f"long_{case}", straight, env, chance, stopped_s=None)
        yield from _damage(folder / f"damaged_{case}", straight, env, chance)
    if os.geteuid():
        raise Skipped("a cut network needs root, who may make network namespaces")
    for case in range(cases):
        workdir = folder / f"cut_{case}"
        with _Net() as net, Pair(workdir, env, net) as pair:
            _wait(pair, chance)
            net.cut()
            slowest_s = _check_ends(pair, {}, "the network is cut")
        _complete(workdir, env)
        check_same(straight, workdir, "the network was cut")
        yield f"the network is cut: both end in a sentence within {slowest_s:.0f} s, and go on"


def _complete(workdir: pathlib.Path, env: dict[str, str]) -> None:
    """Run both processes to the end."""
    with Pair(workdir, env) as pair:
        for index, end in enumerate(pair.finish(900)):
            expect(end.code == 0, f"process {index} of {workdir.name} ended with {end.code}: {strip(end.errors)}")


def _wait(pair: Pair, chance: random.Random) -> None:
    pair.wait_under_way()
    time.sleep(chance.uniform(0, 0.3))


def _check_ends(pair: Pair, others: dict[int, int], what: str) -> float:
    """Check that both processes end within a minute, each with a sentence or with the code that it must have.

    Where both were at work on a save, jax's own abort may come before ours, when the heart was silent for long. Return
    after how many seconds the last one ended.
    """
    start_s = time.monotonic()
    for index, end in enumerate(pair.finish(LONGEST_S)):
        if index in others:
            expect(end.code == others[index], f"{what}: process {index} ended with {end.code}: {strip(end.errors)}")
            continue
        sentences = re.findall(r"^ferjax: (.*)$", end.errors, re.MULTILINE)
        said = end.code == 1 and len(sentences) == 1 and _LOST in sentences[0] and "Traceback" not in end.errors
        expect(
            said or end.code == -signal.SIGABRT, f"{what}: process {index} ended with {end.code}: {strip(end.errors)}"
        )
    return time.monotonic() - start_s


def _damage(workdir: pathlib.Path, straight: pathlib.Path, env: dict[str, str], chance: random.Random) -> Iterator[str]:
    """Break the newest checkpoint of a run of two processes: both go on from the one before."""
    shutil.copytree(straight, workdir)
    newest = workdir / "checkpoints" / list_places(workdir / "checkpoints")[-1].name
    largest = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    largest.write_bytes(content)
    _complete(workdir, env)
    expect((newest.parent / f"damaged_{newest.name}").is_dir(), "a damaged checkpoint was not set aside")
    check_same(straight, workdir, "the newest checkpoint was damaged")
    yield "the newest checkpoint is damaged: both go on from the one before"


def _stand_still(
    workdir: pathlib.Path,
    straight: pathlib.Path,
    env: dict[str, str],
    chance: random.Random,
    *,
    stopped_s: float | None,
) -> Iterator[str]:
    """Stop a process for some seconds, after which both go on; or for as long as the other waits, with None."""
    with Pair(workdir, env) as pair:
        _wait(pair, chance)
        slow = pair.processes[1]
        slow.send_signal(signal.SIGSTOP)
        if stopped_s is not None:
            time.sleep(stopped_s)
            slow.send_signal(signal.SIGCONT)
            for index, end in enumerate(pair.finish(900)):
                expect(end.code == 0, f"a straggler of {stopped_s:.0f} s: process {index}: {strip(end.errors)}")
            said = f"a process that stands still for {stopped_s:.0f} s: the other waits, and both come to the end"
        else:
            start_s, longest_s = time.monotonic(), LONGEST_S * measure_slowness()
            try:
                pair.processes[0].wait(longest_s)
            except subprocess.TimeoutExpired:
                expect(False, f"process 0 waits for one that stands still longer than {longest_s:.0f} s")
            waited_s = time.monotonic() - start_s
            slow.send_signal(signal.SIGCONT)
            slowest_s = _check_ends(pair, {}, "a process stands still for ever")
            said = (
                f"a process that stands still for ever: the other ends in a sentence after {waited_s:.0f} s, and it "
                f"itself {slowest_s:.0f} s after it may go on"
            )
    if stopped_s is None:
        _complete(workdir, env)
    check_same(straight, workdir, "a process stood still")
    yield said
