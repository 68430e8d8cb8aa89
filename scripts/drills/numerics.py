"""Numbers: the same run twice, rows in another order, 1, 2 and 4 devices, bfloat16, and what is not finite."""

import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Iterator

from scripts.drills.drill import Failed
from scripts.drills.runs import ROOT, environment

DEVICES = 4


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Make the checks of `numerics_checks` in a process that has four virtual devices; `cases` is not used."""
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    env = environment(folder / "cache", XLA_FLAGS=flags)
    arguments = [sys.executable, "-m", "scripts.drills.numerics_checks", str(folder), str(chance.randrange(1000))]
    process = subprocess.Popen(
        arguments, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
    _, errors = process.communicate()
    if process.returncode:
        last = [line for line in errors.splitlines() if line.startswith("FAILED: ")]
        raise Failed(last[-1].removeprefix("FAILED: ") if last else errors[-3000:] or os.strerror(process.returncode))
