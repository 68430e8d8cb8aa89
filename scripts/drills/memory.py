"""Too little memory, by a limit on the process and by one on its control group: a sentence with a batch that fits."""

import contextlib
import os
import pathlib
import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence

from ferjax.machine import list_groups
from scripts.drills.drill import Skipped, expect
from scripts.drills.runs import ROOT, check_same, check_sentence, command, environment

_BATCH = 2400
_KEYS = {"data.synthetic_rows": 3200, "model.width": 1.0, "train.steps": 2, "eval.batch_size": 16}
_FITS = re.compile(r"by an estimate, there is room for ([\d,]+) image")


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Train with a batch that is too large under limits of `cases` sizes, then with the one that the sentence names."""
    env = environment(folder / "cache")
    workdir = folder / "unlimited"
    space, resident = _measure(_command(workdir, 24), env)
    yield f"a batch of 24 takes {resident / 1e9:.2f} GB of memory and {space / 1e9:.2f} GB of addresses"
    for case in range(cases):
        limit = space + int(chance.uniform(0.15, 0.8) * 1e9)
        yield from _meet(folder / f"addresses_{case}", env, ["bash", "-c", _LIMIT, str(limit // 1024)], limit)
    if os.geteuid():
        raise Skipped("a limit on a control group needs root")
    for case in range(cases):
        limit = resident + int(chance.uniform(0.1, 0.5) * 1e9)
        with _group(limit) as group:
            yield from _meet(folder / f"group_{case}", env, ["bash", "-c", _JOIN, str(group / "cgroup.procs")], limit)


_LIMIT = 'ulimit -v "$0"; exec "$@"'
_JOIN = 'echo $$ > "$0"; exec "$@"'


def _command(workdir: pathlib.Path, batch: int) -> list[str]:
    keys = [f"--config.{key}={value}" for key, value in {**_KEYS, "train.batch_size": batch}.items()]
    return command(workdir, *keys)


def _meet(workdir: pathlib.Path, env: dict[str, str], prefix: Sequence[str], limit: int) -> Iterator[str]:
    """Run into a limit; the sentence names a batch, and that one fits."""
    what = f"{'a group' if 'procs' in prefix[-1] else 'a process'} of {limit / 1e9:.2f} GB"
    done = _try([*prefix, *_command(workdir, _BATCH)], env)
    sentence = check_sentence(done, f"a batch of {_BATCH} in {what}")
    fitting = _FITS.search(sentence)
    expect(fitting and "--config.train.batch_size" in sentence, f"{what}: no batch is named: {sentence}")
    assert fitting is not None
    batch = int(fitting[1].replace(",", ""))
    done = _try([*prefix, *_command(workdir, batch)], env)
    expect(done.returncode == 0, f"{what}: {batch} images do not fit: {done.returncode}, {done.stderr[-2000:]}")
    finish = _try(_command(workdir.with_name(f"{workdir.name}_free"), batch), env)
    expect(finish.returncode == 0, f"without a limit: {finish.stderr[-2000:]}")
    check_same(workdir.with_name(f"{workdir.name}_free"), workdir, f"{batch} images in {what}")
    yield f"a batch of {_BATCH} in {what}: {sentence}"


def _try(arguments: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=900, check=False, cwd=ROOT)


def _measure(arguments: Sequence[str], env: dict[str, str]) -> tuple[int, int]:
    """Run a command, and return the most addresses and the most memory that its process had, in bytes."""
    process = subprocess.Popen(arguments, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    space = resident = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            said = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            found = {
                name: int(kb) * 1024 for name, kb in re.findall(r"^(VmPeak|VmHWM):\s+(\d+) kB", said, re.MULTILINE)
            }
            space, resident = max(space, found.get("VmPeak", 0)), max(resident, found.get("VmHWM", 0))
        time.sleep(0.02)
    expect(process.returncode == 0 and space, f"a batch of 24 without a limit ended with {process.returncode}")
    return space, resident


@contextlib.contextmanager
def _group(limit: int) -> Iterator[pathlib.Path]:
    """Make a control group of that much memory below this process's own, in version 1 or 2."""
    reason = "no control group of memory is mounted"
    for above in reversed(list_groups()):
        group = above / f"ferjax-drill-{os.getpid()}"
        if not (above / "memory.stat").exists():
            continue
        try:
            group.mkdir()
            name = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
            (group / name).write_text(str(limit))
        except OSError as error:
            reason = f"no control group can be limited ({error.strerror})"
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            yield group
        finally:
            for _ in range(50):  # the last process of it may still be ending
                with contextlib.suppress(OSError):
                    group.rmdir()
                    break
                time.sleep(0.1)
        return
    raise Skipped(reason)
