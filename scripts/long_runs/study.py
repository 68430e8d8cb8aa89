"""A study of many runs: the time and the memory of `ferjax evaluate` against the number of runs."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ferjax.config import load_config
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.report import write_predictions

SEEDS = 10
IMAGES = 3_589  # of FER-2013's PublicTest, and as many of its PrivateTest
LONGEST_S, MOST_MB = 30.0, 1000.0
_EPOCHS = 100
_STEPS_AN_EPOCH = 225  # 28,709 rows in batches of 128
_LOGGED_STEPS = 50


class Measured(NamedTuple):
    """One evaluation of a study: its runs, seconds on the wall and of processor time, and the largest memory."""

    runs: int
    wall_s: float
    cpu_s: float
    peak_mb: float


def write_study(folder: pathlib.Path, settings: int, seeds: int = SEEDS, images: int = IMAGES) -> None:
    """Write the folders that training leaves of `settings` settings, with drawn answers in the place of a network's."""
    labels = np.random.default_rng(0).integers(0, len(EMOTIONS), images)
    for number in range(settings):
        name = f"rate_{number}"
        for seed in range(seeds):
            _write_run(folder / name / f"seed_{seed}", number, seed, labels)


def _write_run(folder: pathlib.Path, setting: int, seed: int, labels: np.ndarray) -> None:
    folder.mkdir(parents=True)
    config = load_config("optimal", {"optim.learning_rate": 1e-4 * 1.1**setting, "train.seed": seed})
    (folder / "config.json").write_text(config.to_json())
    counts = {"train": [28_709, *[0] * 6], "validation": [3_589, *[0] * 6], "test": [len(labels), *[0] * 6]}
    data = {"path": "fer2013.csv", "digest": "drawn", "classes": list(EMOTIONS), "counts": counts, "skipped": []}
    (folder / "data.json").write_text(json.dumps({**data, "notes": [], "copies": {"test": list(range(100))}}))
    chance = np.random.default_rng((setting, seed))
    logits = chance.normal(size=(len(labels), len(EMOTIONS)))
    logits[np.arange(len(labels)), labels] += 1.5 + 0.05 * setting
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponential / exponential.sum(axis=1, keepdims=True)).astype(np.float32)
    path, row = folder / "predictions.csv", np.arange(len(labels))
    write_predictions(path, row=row, split="test", labels=labels, probabilities=probabilities)
    lines = []
    for step in range(_LOGGED_STEPS, _EPOCHS * _STEPS_AN_EPOCH + 1, _LOGGED_STEPS):
        lines.append((step, step / _STEPS_AN_EPOCH, "train_step"))
    for number in range(1, _EPOCHS + 1):
        lines += [(number * _STEPS_AN_EPOCH, float(number), split) for split in ("train", "validation")]
    with (folder / "metrics.jsonl").open("w") as file:
        for step, epoch, split in sorted(lines):
            scores = {"loss": 2.0 - epoch / _EPOCHS + 0.01 * chance.normal(), "accuracy": 0.6 * epoch / _EPOCHS}
            file.write(json.dumps({"step": step, "epoch": epoch, "split": split, **scores}) + "\n")


def measure(folder: pathlib.Path) -> Measured:
    """Evaluate a study in a process of its own, and return what that took."""
    runs = len(list(folder.glob("*/seed_*")))
    arguments = [sys.executable, "-m", "ferjax", "evaluate", "--workdir", str(folder)]
    start_s = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start_s
    process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for already
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return Measured(runs, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure_sizes(folder: pathlib.Path, settings: Sequence[int]) -> list[Measured]:
    """Measure studies of as many settings, of ten seeds each."""
    measured = []
    for count in settings:
        write_study(folder / f"study_{count}", count)
        measured.append(measure(folder / f"study_{count}"))
    return measured
