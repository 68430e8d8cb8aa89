"""A run of many steps: its memory, its open files, its logs and its speed from the first epoch to the last."""

import itertools
import pathlib
import re
import time
from statistics import median
from typing import NamedTuple

from ferjax import runtime
from ferjax.config import load_config
from ferjax.training import run
from ferjax.training.hooks import EpochTold, Hook, Loop

MOST_GROWTH_MB = 20.0
_FILES = pathlib.Path("/proc/self/fd")
_KEYS = {
    "data.synthetic_rows": 3200,
    "model.width": 0.05,
    "train.batch_size": 24,
    "train.log_every_steps": 10,
    "train.early_stop_patience_epochs": 0,
    "eval.batch_size": 160,
    "parallel.devices": 1,
}


class Seen(NamedTuple):
    """What one epoch's end saw: step, MB of its own memory, open files, steps a second of processor time and in all."""

    step: int
    memory_mb: float
    files: int
    steps_per_cpu_s: float
    steps_per_s: float


class Watch(Hook):
    """Notes at each epoch's end what the process holds, and how fast the epoch was, validation and saving included."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._last = (0, time.process_time(), time.perf_counter())

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        now = (told.step, time.process_time(), time.perf_counter())
        steps, cpu_s, wall_s = (new - old for new, old in zip(now, self._last, strict=True))
        self.seen.append(Seen(told.step, _read_mb(), len(list(_FILES.iterdir())), steps / cpu_s, steps / wall_s))
        self._last = now


def _read_mb() -> float:
    """Read how much memory is this process's own: pages of files, as of libraries, come and go as the system likes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return sum(int(kb) for kb in re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+) kB", status, re.MULTILINE)) / 1024


class Summary(NamedTuple):
    """What grew behind a run's first epoch, the speed of its last tenth as a share of the first, and its logs."""

    steps: int
    growth_mb: float
    more_files: int
    speed: float
    bytes_a_line: float
    bytes_an_event: float

    @property
    def faults(self) -> list[str]:
        """List what is not as it must be."""
        found = [f"memory grew by {self.growth_mb:.0f} MB"] if self.growth_mb > MOST_GROWTH_MB else []
        found += [f"{self.more_files} more files are open"] if self.more_files > 0 else []
        return found + ([f"the last tenth runs at {self.speed:.0%} of the first"] if self.speed < 0.9 else [])


def train(folder: pathlib.Path, steps: int) -> list[Seen]:
    """Train a tiny network for so many steps, and return what each epoch's end saw."""
    runtime.keep_memory()
    runtime.import_tensorboard()
    watch = Watch()
    keys = {**_KEYS, "train.steps": steps, "train.epochs": steps}
    run.run(load_config("quickstart", keys), folder, hooks=[watch])
    return watch.seen


def summarize(seen: list[Seen], folder: pathlib.Path) -> Summary:
    """Compare the epochs behind the first one, whose memory holds what compiling left."""
    later = seen[1:]
    tenth = max(len(later) // 10, 1)

    def speed(part: list[Seen]) -> float:
        return sum(one.steps_per_cpu_s for one in part) / len(part)

    lines = (folder / "metrics.jsonl").read_text().splitlines()
    values = sum(line.count(":") - 3 for line in lines)  # all but step, epoch and split are events too
    events = sum(path.stat().st_size for path in (folder / "tensorboard").iterdir())
    # The most of each tenth, since the system takes pages back that hold nothing, and a run fills them again.
    most = [max(one.memory_mb for one in later[start : start + tenth]) for start in range(0, len(later), tenth)]
    return Summary(
        seen[-1].step,
        max((after - before for before, after in itertools.combinations(most, 2)), default=0.0),
        # In the middle, since a save that is under way has some files open, and one that just ended fewer.
        int(median(one.files for one in later[-tenth:]) - median(one.files for one in later[:tenth])),
        speed(later[-tenth:]) / speed(later[:tenth]),
        sum(map(len, lines)) / len(lines),
        events / values,
    )
