"""What a result is measured with: the machine, the versions and the data."""

import contextlib
import os
import pathlib
import platform
import subprocess

import ferjax
from scripts.benchmarks.processes import ROOT, Bench, find_versions
from scripts.benchmarks.results import Conditions


def describe(bench: Bench, data: str) -> Conditions:
    """Ask the machine and every interpreter of the bench; `data` is the file that was named."""
    cpu = platform.processor() or platform.machine()
    if (info := pathlib.Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = next(iter(models), cpu)
    versions = {"ferjax": _find_commit()}
    # Of all, whoever takes part now: --add compares them.
    for python in bench.pythons.values():
        versions |= find_versions(python)
    return {
        "cpu": cpu,
        "cores": bench.threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "versions": versions,
        "data": pathlib.Path(data).name,
    }


def _find_commit() -> str:
    """Return ferjax's version, and the commit where ferjax lies in a clone.

    So the rounds of two states are never added up.
    """
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        return f"{ferjax.__version__} ({found})"
    return ferjax.__version__
