"""One contender's process: does what the driver asks, a JSON line for each question and answer.

    python -m benchmark.worker MODULE FORM DATA THREADS

MODULE has `create(form, task, batch, data, threads)`, which returns (step, finish): `step()` begins one step and
returns a handle, `finish(handle)` waits until it is done. It may have more commands in `COMMANDS`.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

_WARM_STEPS = 1


class Task:
    """What is measured now, and its commands."""

    def __init__(self, create: Callable[[str, int], tuple[Callable, Callable]]) -> None:
        self._create = create

    def launch(self, task: str, batch: int) -> dict[str, Any]:
        """Take the very first step."""
        self._step, self._finish = self._create(task, batch)
        self._finish(self._step())
        return {}

    def prepare(self, task: str, batch: int) -> dict[str, Any]:
        """Compile and warm up; seconds that took."""
        start_s = time.perf_counter()
        self.launch(task, batch)
        for _ in range(_WARM_STEPS):
            self._finish(self._step())
        return {"seconds": time.perf_counter() - start_s}

    def measure(self, steps: int, first: int = 0) -> dict[str, Any]:
        """Seconds of `steps` steps, waiting only for the last, after `first` ones that don't count."""
        for _ in range(first):
            self._finish(self._step())
        start_s = time.perf_counter()
        for _ in range(steps):
            handle = self._step()
        self._finish(handle)
        return {"seconds": time.perf_counter() - start_s}

    def time_each(self, steps: int) -> dict[str, Any]:
        """Seconds of each of `steps` steps, waiting for each."""
        seconds = []
        for _ in range(steps):
            start_s = time.perf_counter()
            self._finish(self._step())
            seconds.append(time.perf_counter() - start_s)
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process has had, in MB."""
        # Not getrusage's ru_maxrss, which a process inherits from the one that started it.
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return {"peak_mb": next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024}


def main() -> None:
    """Answer until the driver closes the pipe."""
    # Libraries print; the answers need a pipe of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, form, data, threads = sys.argv[1:]
    module = importlib.import_module(f"benchmark.{name}")
    task = Task(lambda task, batch: module.create(form, task, batch, data, int(threads)))
    for line in sys.stdin:
        question = json.loads(line)
        command = question.pop("do")
        do = getattr(module, "COMMANDS", {}).get(command) or getattr(task, command)
        answers.write(json.dumps(do(**question)) + "\n")


if __name__ == "__main__":
    main()
