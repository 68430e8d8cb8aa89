"""What a run's folder says of the run: its config, its data, and for each start the versions and the commit."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from ferjax.config import FIXED_KEYS, find_differences
from ferjax.data import Rows, copied_rows
from ferjax.errors import UserError
from ferjax.files import replacing
from ferjax.locks import try_take

logger = logging.getLogger("ferjax")

_PACKAGES = ("ferjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "clu", "ml_collections", "numpy")


@contextlib.contextmanager
def lock_workdir(workdir: pathlib.Path) -> Iterator[None]:
    """Make the folder and hold it for one process. Raises UserError where another process trains in it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = try_take(workdir / ".lock")
    except OSError as error:
        raise UserError(
            f"--workdir={workdir} cannot be written ({error.strerror}): name a folder that you own."
        ) from error
    if lock is None:
        raise UserError(f"Another process is training in {workdir}: wait for it, or use another --workdir.")
    try:
        yield
    finally:
        lock.release()


def has_checkpoint(workdir: pathlib.Path) -> bool:
    """Whether a run in this folder would go on from where another start came to."""
    return any((workdir / "checkpoints").glob("[0-9]*"))


def check_workdir(workdir: pathlib.Path, config: ConfigDict, data: dict[str, Any], *, allow_change: bool) -> None:
    """Raise UserError, naming what differs, where the folder's checkpoints are of another config or data set.

    With `allow_change` only those keys are refused that a checkpoint can't go on without.
    """
    saved, saved_data = _read(workdir / "config.json"), _read(workdir / "data.json")
    if saved is None or saved_data is None or not has_checkpoint(workdir):
        return
    differences = find_differences(saved, json.loads(config.to_json()))
    fixed = [text for key, text in differences.items() if key in FIXED_KEYS]
    if saved_data["digest"] != data["digest"]:
        fixed.append(f"the data set: {saved_data['path']} -> {data['path']}")
    every = "; ".join([*fixed, *(text for key, text in differences.items() if key not in FIXED_KEYS)])
    if fixed:
        raise UserError(
            f"{workdir} was made with another config, and can't go on with this one ({every}): use another --workdir."
        )
    if differences and not allow_change:
        raise UserError(
            f"{workdir} was made with another config ({every}): use another --workdir, or --allow_config_change to go "
            "on from its checkpoint with the new one."
        )
    if differences:
        logger.warning("Going on in %s with a changed config: %s.", workdir, every)


# What the evaluation at a run's end writes.
_RESULTS = ("predictions.csv", "worst_mistakes.npz", "report.json", "report.md", "report.csv")


def describe_run(workdir: pathlib.Path, config: ConfigDict, data: dict[str, Any], *, step: int) -> None:
    """Write config.json and data.json, and add this start, at `step`, to versions.json.

    Results of an earlier start go: until this one ends, nobody shall take them for its own.
    """
    for name in _RESULTS:
        (workdir / name).unlink(missing_ok=True)
    starts = _read(workdir / "versions.json") or []
    _write(workdir / "versions.json", [*starts, {"step": step, **_describe_versions()}])
    _write(workdir / "config.json", json.loads(config.to_json()))
    _write(workdir / "data.json", data)


def describe_pretrained(workdir: pathlib.Path, about: dict[str, Any]) -> None:
    """Write pretrained.json: which weights the run began from, and what became of them."""
    _write(workdir / "pretrained.json", about)


def forget_pretrained(workdir: pathlib.Path) -> None:
    """Remove the pretrained.json of a start that left no checkpoint."""
    (workdir / "pretrained.json").unlink(missing_ok=True)


def describe_data(rows: Rows, splits: dict[str, Int[np.ndarray, " _"]]) -> dict[str, Any]:
    """What data.json holds: the source, a SHA-256 of the rows and their split, class counts, copies, what was skipped.

    "copies" are the rows of validation and of test that have an exact copy in training.
    """
    digest = hashlib.sha256()
    targets = () if rows.targets is None else (rows.targets,)
    for array in (rows.images, rows.labels, *targets, *splits.values()):
        digest.update(np.ascontiguousarray(array).data)
    counts = {name: np.bincount(rows.labels[index], minlength=len(rows.classes)) for name, index in splits.items()}
    return {
        "path": rows.source,
        "digest": digest.hexdigest(),
        "classes": list(rows.classes),
        "counts": {name: count.tolist() for name, count in counts.items()},
        "copies": {name: index.tolist() for name, index in copied_rows(rows, splits).items()},
        "skipped": list(rows.skipped),
        "notes": list(rows.notes),
    }


def _write(path: pathlib.Path, value: Any) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _read(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it, or use another --workdir.") from error


def _describe_versions() -> dict[str, Any]:
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "cpu_count": os.cpu_count(),
    }


def _git_commit() -> str | None:
    """The commit of ferjax's own checkout, marked '-dirty' where files differ; None for an installed package."""
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
