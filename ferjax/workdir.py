"""What a run's folder says of the run: its config, its data, the versions and the commit that made it."""

import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from ferjax.config import find_differences
from ferjax.data import EMOTIONS, Rows
from ferjax.errors import UserError

logger = logging.getLogger("ferjax")

_PACKAGES = ("ferjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "clu", "ml_collections", "numpy")


def open_workdir(workdir: pathlib.Path, config: ConfigDict, data: dict[str, Any], *, allow_change: bool) -> None:
    """Make the folder, or check that it is this run's; then write config.json, data.json and versions.json.

    Raises UserError, naming what differs, where the folder was made with another config or data set and
    `allow_change` is off.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--workdir={workdir} can't be made ({error.strerror}): name a folder you may write to."
        ) from error
    new = json.loads(config.to_json())
    saved, saved_data = _read(workdir / "config.json"), _read(workdir / "data.json")
    if saved is not None:
        differences = find_differences(saved, new)
        if saved_data is not None and saved_data["digest"] != data["digest"]:
            differences.append(f"the data set: {saved_data['path']} -> {data['path']}")
        if differences and not allow_change:
            raise UserError(
                f"{workdir} was made with another config ({'; '.join(differences)}): use another --workdir, or "
                "--allow_config_change to go on from its checkpoint with the new one."
            )
        if differences:
            logger.warning("Going on in %s with a changed config: %s.", workdir, "; ".join(differences))
    write_json(workdir / "config.json", new)
    write_json(workdir / "data.json", data)
    write_json(workdir / "versions.json", _describe_versions())


def describe_data(path: str, rows: Rows, splits: dict[str, Int[np.ndarray, " _"]]) -> dict[str, Any]:
    """What data.json holds: the source, a SHA-256 of the rows and their split, class counts, and what was skipped."""
    digest = hashlib.sha256()
    for array in (rows.pixels, rows.emotion, *splits.values()):
        digest.update(np.ascontiguousarray(array).data)
    counts = {name: np.bincount(rows.emotion[index], minlength=len(EMOTIONS)) for name, index in splits.items()}
    return {
        "path": path,
        "digest": digest.hexdigest(),
        "counts": {name: count.tolist() for name, count in counts.items()},
        "skipped": list(rows.skipped),
        "notes": list(rows.notes),
    }


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it, or use another --workdir.") from error


def _describe_versions() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "cpu_count": os.cpu_count(),
    }


def _git_commit() -> str | None:
    """The commit of ferjax's own checkout, marked '-dirty' where files differ; None for an installed package."""
    folder = pathlib.Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
