"""The circumstances of a run's start: the versions of its packages, its commit, its devices."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

from ferjax import arithmetic

_PACKAGES = ("ferjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "clu", "ml_collections", "numpy")

# What versions.json calls the type that model.dtype=auto chose.
NUMBER_TYPE = "number type of training"


def describe_start(step: int, train_dtype: str, devices: int) -> dict[str, Any]:
    """Return what versions.json says of a start at `step`, which trains in `train_dtype`, a batch over `devices`."""
    return {
        "step": step,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _find_version(name) for name in _PACKAGES},
        "git_commit": _find_commit(),
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "cpu_count": os.cpu_count(),
        "numbers_depend_on": {
            **arithmetic.describe(),
            NUMBER_TYPE: train_dtype,
            "devices of a batch": str(devices),
        },
    }


def _find_version(name: str) -> str:
    """Return a package's version; ferjax itself may run from a checkout that nobody installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _find_commit() -> str | None:
    """Find the commit of ferjax's own checkout, marked '-dirty' where files differ; None for an installed package."""
    root = pathlib.Path(__file__).resolve().parents[1]

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        # Some other project's checkout may hold the environment that ferjax is installed in.
        if pathlib.Path(ask("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        return ask("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
