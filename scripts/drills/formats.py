"""Runs that earlier versions began: each goes on, or is refused in one sentence."""

import io
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import ferjax
from ferjax.errors import UserError
from scripts.drills.drill import Failed, Skipped, expect
from scripts.drills.runs import QUICK_COMPILE, ROOT, environment, read_metrics, strip

STEPS, MORE_STEPS = 4, 8
_KEYS = {
    "data.path": "synthetic",
    "data.synthetic_rows": 140,
    "train.batch_size": 24,
    "train.log_every_steps": 1,
    "train.epochs": 3,
}


class Version(NamedTuple):
    """A commit whose runs have another form than those before it."""

    commit: str
    about: str
    keys: tuple[str, ...] = ("model.width=0.25",)


# `git log -- ferjax/training/checkpoint.py ferjax/state.py ferjax/workdir.py` says which. A change of form is a line
# here; two that came with commits which cannot be imported, 3871ebd and 64ddcc4, belong to the next one that can.
VERSIONS: tuple[Version, ...] = (
    Version("3e9749f", "the first checkpoints, which do not say their shapes", ()),
    Version("e5a1686", "the last steps' totals belong to the state"),
    Version("e73a7fc", "a checkpoint says its shapes"),
    Version("d4b3297", "the optimizer's state is by groups of parameters, data.json lists the copies"),
    Version("8427c0f", "several devices and seeds"),
    Version("c350a2c", "the last one before the house"),
    Version("2e93955", "sums carry the confusion matrix"),
    Version("62eea44", "checkpoints are called by their steps, optimizers by name, an average of the weights"),
    Version("82fa21b", "calibration.json; the last one without checksums"),
    Version("7620527", "checkpoints have checksums"),
    Version("3ed1ead", "model.dtype=auto"),
)


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Begin a run with `cases` of the versions, spread over all of them, and go on with it by this one."""
    chosen = [VERSIONS[int(i * (len(VERSIONS) - 1) / max(cases - 1, 1))] for i in range(min(cases, len(VERSIONS)))]
    faults: list[str] = []
    env_now = environment(folder / "cache", XLA_FLAGS=QUICK_COMPILE)
    for version in reversed(chosen):
        tree, workdir = folder / f"tree_{version.commit}", folder / f"run_{version.commit}"
        _unpack(version.commit, tree)
        env = environment(folder / f"cache_{version.commit}", PYTHONPATH=str(tree), XLA_FLAGS=QUICK_COMPILE)
        keys = [f"--config.{key}={value}" for key, value in {**_KEYS, "train.steps": STEPS}.items()]
        keys += [f"--config.{key}" for key in version.keys]
        arguments = [sys.executable, "-m", "ferjax.main", "--config", "configs/quickstart.py"]
        begun = _try([*arguments, "--workdir", str(workdir), *keys], env, tree)
        # Its report may need libraries of its time; what counts is the checkpoint.
        if not any((workdir / "checkpoints").glob("*[0-9]*")):
            yield f"{version.commit} ({version.about}): does not run here: {strip(begun.stderr).splitlines()[-1:]}"
            faults.append(version.commit)
            continue
        try:
            said = _go_on(workdir, version, env_now)
            shutil.rmtree(workdir)
        except Failed as fault:
            said = f"FAILED: {fault}"
            faults.append(version.commit)
        yield f"{version.commit} ({version.about}): {said}"
        shutil.rmtree(tree)
    expect(not faults, f"runs of {', '.join(faults)} could not be begun, or neither go on nor are refused, see above")


def _go_on(workdir: pathlib.Path, version: Version, env: dict[str, str]) -> str:
    """Go on with a run of an earlier version; return what became of it."""
    what = f"a run of {version.commit}"
    try:
        ferjax.load(workdir)
    except UserError as error:
        expect("\n" not in str(error), f"{what}, loaded: more than a sentence: {error}")
    before = [line["step"] for line in read_metrics(workdir)]
    keys = [f"--config.{key}={value}" for key, value in {**_KEYS, "train.steps": MORE_STEPS}.items()]
    keys += [f"--config.{key}" for key in version.keys]
    arguments = [sys.executable, "-m", "ferjax", "train", "--config", "quickstart", "--workdir", str(workdir), *keys]
    done = _try(arguments, env, ROOT)
    refused = ""
    if done.returncode:
        refused = _find_sentence(done, what)
        done = _try([*arguments, "--allow_config_change"], env, ROOT)
    if done.returncode:
        return f"refused: {_find_sentence(done, what)}"
    expect(f"from step {STEPS} " in done.stderr, f"{what}: it began anew: {strip(done.stderr)}")
    steps = [line["step"] for line in read_metrics(workdir) if line["split"] == "train_step"]
    expect(steps == list(range(1, MORE_STEPS + 1)), f"{what}: metrics.jsonl has the steps {steps}, and had {before}")
    return f"goes on{f' with --allow_config_change ({refused})' if refused else ''}"


def _find_sentence(done: subprocess.CompletedProcess[str], what: str) -> str:
    found = re.findall(r"^ferjax: (.*)$", done.stderr, re.MULTILINE)
    expect(done.returncode == 1 and len(found) == 1, f"{what}: {done.returncode}, {done.stderr[-3000:]}")
    expect("Traceback" not in done.stderr, f"{what}: a traceback: {done.stderr[-3000:]}")
    return str(found[0])


def _unpack(commit: str, tree: pathlib.Path) -> None:
    """Write a commit's files into a folder."""
    try:
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped("earlier versions come from git's history, which is not here") from error
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(tree, filter="data")


def _try(arguments: list[str], env: dict[str, str], where: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=1800, check=False, cwd=where)
