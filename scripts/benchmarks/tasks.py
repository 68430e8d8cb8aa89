"""What is measured: each task gathers the figures of every contender, round by round, in turns."""

import contextlib
import functools
import math
import pathlib
import tempfile
import time
import types
from collections.abc import Callable, Mapping

from scripts.benchmarks.contenders import (
    BARE,
    CONTENDERS,
    FERJAX,
    ONNX_FILE,
    Contender,
    find_contender,
    take_part,
)
from scripts.benchmarks.processes import Bench, ContenderError, Run, Runner, Stepper, Worker
from scripts.benchmarks.results import Launch, Result

# A turn lasts about this long, or one step if that is longer.
_TURN_S: Mapping[str, float] = types.MappingProxyType({"train": 3.0, "pipeline": 3.0, "inference": 1.0})
_MOST_STEPS = 500
_LATENCY_CALLS = 100
# At 1e-4 Adam's first steps, of which little more than the gradient's sign counts, blow rounding up: two layouts of
# PyTorch then differ by 1e-3 nats after 5 steps, and so does each of them from float64.
_SAME_WORK_STEPS, _SAME_WORK_LEARNING_RATE = 5, 1e-6


def measure_speed(task: str, batch: int, bench: Bench, names: set[str], rounds: int) -> Result:
    """Measure images a second of 'train', 'pipeline' or 'inference'; of batch 1 also each call's milliseconds."""
    result: Result = {"task": task, "batch": batch, "unit": "images/s", "values": {}, "failed": {}, "prepare_s": {}}
    if task == "inference" and "onnxruntime" in names:
        _try("onnxruntime", result, functools.partial(_export, bench))
    with contextlib.ExitStack() as stack:
        turns = _Turns(task, batch, result)
        turns.start(bench, names, stack)
        for number in range(rounds):
            turns.take_round(number)
            if task == "train" and FERJAX in result["values"]:
                _note_peak(turns.workers[FERJAX], result)
        if task == "inference" and batch == 1:
            turns.time_calls(rounds)
    return result


class _Turns:
    """The contenders of one task at one batch size, compiled and ready; all but the one at it are stopped."""

    def __init__(self, task: str, batch: int, result: Result) -> None:
        self._task, self._batch, self._result = task, batch, result
        self.workers: dict[str, Worker] = {}
        self._runners: dict[str, Runner] = {}
        self._steps: dict[str, int] = {}

    def start(self, bench: Bench, names: set[str], stack: contextlib.ExitStack) -> None:
        """Start every contender, compile, and choose the steps of its turns; they end with the stack."""
        for contender in take_part(self._task, names):
            bare = self._task == "pipeline" and contender.name == FERJAX
            name = BARE if bare else contender.name
            worker = self.workers[name] = stack.enter_context(Worker(contender, bench))
            # A run's first window after a stop does not count, so no contender's first step counts here.
            stepper = Stepper(worker, "train" if bare else self._task, self._batch, first=int(self._task == "pipeline"))
            _try(name, self._result, functools.partial(self._begin, name, stepper))
            if bare and BARE in self._steps:
                workdir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
                run = stack.enter_context(Run(bench, workdir, self._batch, self._steps[BARE]))
                _try(FERJAX, self._result, functools.partial(self._begin, FERJAX, run))

    def _begin(self, name: str, runner: Runner) -> None:
        seconds = self._result["prepare_s"][name] = runner.prepare()
        steps = min(_MOST_STEPS, max(1, math.ceil(_TURN_S[self._task] / runner.measure(1))))
        self._runners[name], self._steps[name] = runner, steps
        print(f"  {name}: ready after {seconds:.1f} s, {steps} steps a turn", flush=True)

    def take_round(self, number: int) -> None:
        """Return each contender a turn."""
        order = list(self._runners)
        # No contender always begins a round: by then the machine may have cooled, or another program may have begun.
        first = number % max(1, len(order))
        for name in order[first:] + order[:first]:
            _try(name, self._result, functools.partial(self._take_turn, name))

    def _take_turn(self, name: str) -> None:
        images_per_s = self._batch / self._runners[name].measure(self._steps[name])
        self._result["values"].setdefault(name, []).append(images_per_s)

    def time_calls(self, rounds: int) -> None:
        """Time single calls, each by itself."""
        latency_ms = self._result["latency_ms"] = {}
        for _ in range(rounds):
            for name in self._result["values"]:
                seconds = self.workers[name].ask("time_each", steps=_LATENCY_CALLS)["seconds"]
                latency_ms.setdefault(name, []).extend(1e3 * value for value in seconds)


def _note_peak(worker: Worker, result: Result) -> None:
    peak = worker.ask("peak")
    result["flops_per_image"], result["peak_source"] = peak["flops_per_image"], peak["source"]
    result.setdefault("peak_flops_per_s", []).append(peak["flops_per_s"])


def _try(name: str, result: Result, do: Callable[[], None]) -> None:
    """Note one contender's failure, and let the others go on."""
    if name in result["failed"]:
        return
    try:
        do()
    except ContenderError as error:
        result["failed"][name] = str(error)
        result["values"].pop(name, None)
        print(f"  {name} failed: {error}", flush=True)


def _export(bench: Bench) -> None:
    path = bench.data.parent / ONNX_FILE
    if not path.exists():
        with Worker(find_contender("PyTorch, eager"), bench) as worker:
            worker.ask("export", path=str(path))


def measure_launch(batch: int, bench: Bench, names: set[str], rounds: int) -> Result:
    """Measure seconds from a process's start to the end of its first training step, with empty caches, then again.

    ferjax is its own command line, reading and caching the data set; the others are the least script that reads the
    training rows, augments and trains.
    """
    result: Result = {"task": "launch", "batch": batch, "unit": "s", "values": {}, "again": {}, "failed": {}}
    parts: tuple[Launch, ...] = ("values", "again")
    for _ in range(rounds):
        for contender in take_part("launch", names):
            with tempfile.TemporaryDirectory() as cache:
                for part in parts:
                    launch = functools.partial(_launch, contender, part, pathlib.Path(cache), bench, result)
                    _try(contender.name, result, launch)
    return result


def _launch(contender: Contender, part: Launch, cache: pathlib.Path, bench: Bench, result: Result) -> None:
    start_s = time.perf_counter()
    if contender.name == FERJAX:
        with Run(bench, cache / part, result["batch"], 1, cache) as run:
            run.wait_lines(1)
            seconds = time.perf_counter() - start_s
    else:
        with Worker(contender, bench, cache) as worker:
            worker.ask("launch", task="pipeline", batch=result["batch"])
            seconds = time.perf_counter() - start_s
    result[part].setdefault(contender.name, []).append(seconds)
    print(f"  {contender.name}: {seconds:.1f} s", flush=True)


def measure_memory(batch: int, bench: Bench, names: set[str]) -> Result:
    """Measure the most memory, in MB, of a fresh process that has taken three training steps on a batch in memory."""
    result: Result = {"task": "memory", "batch": batch, "unit": "MB", "values": {}, "failed": {}}

    def measure(contender: Contender) -> None:
        with Worker(contender, bench) as worker:
            worker.ask("prepare", task="train", batch=batch)
            worker.ask("measure", steps=1)
            result["values"][contender.name] = [worker.ask("memory")["peak_mb"]]

    for contender in take_part("memory", names):
        _try(contender.name, result, functools.partial(measure, contender))
    return result


def compare_losses(batch: int, bench: Bench) -> Result:
    """Take the losses of ferjax and of two layouts of PyTorch over some steps from the same parameters and batches."""
    shared = {"learning_rate": _SAME_WORK_LEARNING_RATE}
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "same_work.npz")
        with Worker(find_contender(FERJAX), bench) as worker:
            given = {"data": str(bench.data), "path": path, "batch": batch, "steps": _SAME_WORK_STEPS}
            values[FERJAX] = worker.ask("same_work", **given, **shared)["losses"]
        for contender in take_part("same_work", {contender.name for contender in CONTENDERS}):
            with Worker(contender, bench) as worker:
                given = {"form": contender.form, "path": path, "threads": bench.threads}
                values[contender.name] = worker.ask("same_work", **given, **shared)["losses"]
    return {
        "task": "same_work",
        "batch": batch,
        "unit": "nats",
        "values": values,
        "steps": _SAME_WORK_STEPS,
        "learning_rate": _SAME_WORK_LEARNING_RATE,
    }
