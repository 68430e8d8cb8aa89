"""One contender's process: do what the driver asks, with a JSON line for each question and each answer.

    python -m scripts.benchmarks.worker MODULE FORM DATA THREADS

MODULE has `create(form, task, batch, data, threads)`, which is a `protocol.Create`. It may have more commands in
`COMMANDS`.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from scripts.benchmarks.protocol import Commands, Create, Step, Wait

_WARM_STEPS = 1


class Measurement:
    """What is measured now, and its commands."""

    _step: Step
    _wait: Wait

    def __init__(self, create: Callable[[str, int], tuple[Step, Wait]]) -> None:
        self._create = create
        self.commands: Commands = {
            "launch": self.launch,
            "prepare": self.prepare,
            "measure": self.measure,
            "time_each": self.time_each,
            "memory": self.memory,
        }

    def launch(self, task: str, batch: int) -> dict[str, Any]:
        """Take the very first step."""
        self._step, self._wait = self._create(task, batch)
        self._wait(self._step())
        return {}

    def prepare(self, task: str, batch: int) -> dict[str, Any]:
        """Compile and warm up; answer how many seconds that took."""
        start_s = time.perf_counter()
        self.launch(task, batch)
        for _ in range(_WARM_STEPS):
            self._wait(self._step())
        return {"seconds": time.perf_counter() - start_s}

    def measure(self, steps: int, first: int = 0) -> dict[str, Any]:
        """Answer the seconds of `steps` steps, waiting only for the last, after `first` ones that do not count."""
        for _ in range(first):
            self._wait(self._step())
        start_s = time.perf_counter()
        for _ in range(steps):
            handle = self._step()
        self._wait(handle)
        return {"seconds": time.perf_counter() - start_s}

    def time_each(self, steps: int) -> dict[str, Any]:
        """Answer the seconds of each of `steps` steps, waiting for each."""
        seconds = []
        for _ in range(steps):
            start_s = time.perf_counter()
            self._wait(self._step())
            seconds.append(time.perf_counter() - start_s)
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """Answer the most memory that this process has had, in MB."""
        # Not getrusage's ru_maxrss, which a process inherits from the one that started it.
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return {"peak_mb": next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024}


def main() -> None:
    """Answer until the driver closes the pipe."""
    # Libraries print; the answers need a pipe of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, form, data, threads = sys.argv[1:]
    module = importlib.import_module(f"scripts.benchmarks.{name}")
    create: Create = module.create
    measurement = Measurement(lambda task, batch: create(form, task, batch, data, int(threads)))
    commands = {**measurement.commands, **getattr(module, "COMMANDS", {})}
    for line in sys.stdin:
        question = json.loads(line)
        do = commands[question.pop("do")]
        answers.write(json.dumps(do(**question)) + "\n")


if __name__ == "__main__":
    main()
