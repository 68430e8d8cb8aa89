"""Small runs of the real command, and what they left."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from ferjax.training.checkpoint import read_leaves
from ferjax.training.places import list_places
from scripts.drills.drill import expect

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL: Mapping[str, object] = {
    "data.synthetic_rows": 140,
    "model.width": 0.05,
    "train.batch_size": 24,
    "train.epochs": 3,
    "train.log_every_steps": 2,
    "train.checkpoint_interval_s": 0.5,
    "eval.batch_size": 8,
    "parallel.devices": 1,
}
LONGEST_S = 3600.0  # of a command that must come to its end: some seconds, and a hundred times that on a busy machine
# What depends on the machine's speed.
_TIMES = ("images_per_s", "model_flop_utilisation", "seconds")


# XLA_FLAGS for drills that compile much and measure nothing.
QUICK_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def command(workdir: pathlib.Path, *more: str, name: str = "train") -> list[str]:
    """Return the command line of a small run in a folder."""
    keys = [f"--config.{key}={value}" for key, value in SMALL.items()]
    return [sys.executable, "-m", "ferjax", name, "--config", "quickstart", "--workdir", str(workdir), *keys, *more]


def environment(cache: pathlib.Path, **changed: str) -> dict[str, str]:
    """Return the environment of a run whose cache is in a folder of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_", "FERJAX_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "FERJAX_CACHE": str(cache), "JAX_PLATFORMS": "cpu", **changed}


def write_faces(path: pathlib.Path) -> None:
    """Write a csv as FER-2013's, with noise in the place of faces, for what must be read and kept in the cache.

    Most rows belong to the test split, which training leaves alone: they make reading take long enough to be met.
    """
    rows, more = 140, 1000
    chance = np.random.default_rng(0)
    usages = ("Training",) * 8 + ("PublicTest", "PrivateTest")
    lines = ["emotion,pixels,Usage"]
    for row in range(rows + more):
        pixels = " ".join(map(str, chance.integers(256, size=48 * 48)))
        lines.append(f"{row % 7},{pixels},{usages[row % len(usages)] if row < rows else usages[-1]}")
    path.write_text("\n".join(lines) + "\n")


def finish(arguments: Sequence[str], env: Mapping[str, str], timeout_s: float = LONGEST_S) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)
    expect(done.returncode == 0, f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def check_sentence(done: subprocess.CompletedProcess[str], what: str, codes: Sequence[int] = (1,)) -> str:
    """Return the one sentence by which a command ended; raise Failed where it said more, or less."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ferjax: ")]
    expect(done.returncode in codes, f"{what}: exit code {done.returncode}, not {codes}:\n{done.stderr[-3000:]}")
    expect(len(lines) == 1, f"{what}: {len(lines)} sentences:\n{done.stderr[-3000:]}")
    expect("Traceback" not in done.stderr, f"{what}: a traceback:\n{done.stderr[-3000:]}")
    return lines[0].removeprefix("ferjax: ")


def read_bits(workdir: pathlib.Path) -> dict[str, bytes]:
    """Return every array of the newest checkpoint as bytes."""
    folder = workdir / "checkpoints"
    newest = folder / list_places(folder)[-1].name
    leaves = {name: leaf for part in ("state", "best") for name, leaf in read_leaves(newest, part).items()}
    return {name: np.asarray(leaf).tobytes() for name, leaf in leaves.items()}


def read_metrics(workdir: pathlib.Path) -> list[dict[str, object]]:
    """Return the lines of metrics.jsonl without what depends on the machine's speed."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in _TIMES} for line in lines]


def check_same(straight: pathlib.Path, other: pathlib.Path, what: str) -> None:
    """Raise Failed unless two runs ended in the same bits, the same lines of metrics and the same predictions."""
    bits, others = read_bits(straight), read_bits(other)
    different = [name for name in bits.keys() | others.keys() if bits.get(name) != others.get(name)]
    expect(not different, f"{what}: {len(different)} arrays differ from the straight run's, such as {different[:3]}")
    expect(read_metrics(straight) == read_metrics(other), f"{what}: metrics.jsonl differs from the straight run's")
    for name in ("predictions.csv", "report.json"):
        expect((straight / name).read_bytes() == (other / name).read_bytes(), f"{what}: {name} differs")


def measure_slowness() -> float:
    """Return how many times as long as its processor time a second of work takes here; 1 on a machine that is idle."""
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    while time.process_time() - start_cpu_s < 0.2:
        sum(range(10_000))
    return max(1.0, (time.monotonic() - start_s) / (time.process_time() - start_cpu_s))


def strip(text: str) -> str:
    """Return the last lines of an output, without progress bars."""
    return re.sub(r"[^\n]*\r", "", text)[-2000:]
