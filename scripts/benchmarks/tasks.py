"""What is measured: each task gathers the figures of every contender, round by round, in turns."""

import contextlib
import functools
import pathlib
import tempfile
import time
import types
from collections.abc import Mapping

from scripts.benchmarks.contenders import (
    BARE,
    CONTENDERS,
    FERJAX,
    ONNX_FILE,
    Contender,
    find_contender,
    take_part,
)
from scripts.benchmarks.contest import Turns, attempt
from scripts.benchmarks.processes import Bench, Run, Stepper, Worker
from scripts.benchmarks.results import Launch, Result

# A turn lasts about this long, or one step if that is longer.
_TURN_S: Mapping[str, float] = types.MappingProxyType({"train": 3.0, "pipeline": 3.0, "inference": 1.0})
_LATENCY_CALLS = 100
# At 1e-4 Adam's first steps, of which little more than the gradient's sign counts, blow rounding up: two layouts of
# PyTorch then differ by 1e-3 nats after 5 steps, and so does each of them from float64.
_SAME_WORK_STEPS, _SAME_WORK_LEARNING_RATE = 5, 1e-6


def measure_speed(task: str, batch: int, bench: Bench, names: set[str], rounds: int) -> Result:
    """Measure images a second of 'train', 'pipeline' or 'inference'; of batch 1 also each call's milliseconds."""
    result: Result = {"task": task, "batch": batch, "unit": "images/s", "values": {}, "failed": {}, "prepare_s": {}}
    if task == "inference" and "onnxruntime" in names:
        attempt("onnxruntime", result, functools.partial(_export, bench))
    turns = Turns(task, batch, result, _TURN_S[task])
    with contextlib.ExitStack() as stack:
        workers = _start(turns, bench, names, stack)
        for number in range(rounds):
            turns.take_round(number)
            if task == "train" and FERJAX in result["values"]:
                _note_peak(workers[FERJAX], result)
        if task == "inference" and batch == 1:
            _time_calls(workers, result, rounds)
    return result


def _start(turns: Turns, bench: Bench, names: set[str], stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start every contender, which ends with the stack; return the worker of each."""
    workers = {}
    for contender in take_part(turns.task, names):
        bare = turns.task == "pipeline" and contender.name == FERJAX
        name = BARE if bare else contender.name
        worker = workers[name] = stack.enter_context(Worker(contender, bench))
        # A run's first window after a stop does not count, so no contender's first step counts here.
        task = "train" if bare else turns.task
        turns.add(name, Stepper(worker, task, turns.batch, first=int(turns.task == "pipeline")))
        if bare and BARE in turns.steps:
            workdir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            turns.add(FERJAX, stack.enter_context(Run(bench, workdir, turns.batch, turns.steps[BARE])))
    return workers


def _time_calls(workers: Mapping[str, Worker], result: Result, rounds: int) -> None:
    """Time single calls, each by itself."""
    latency_ms = result["latency_ms"] = {}
    for _ in range(rounds):
        for name in result["values"]:
            seconds = workers[name].ask("time_each", steps=_LATENCY_CALLS)["seconds"]
            latency_ms.setdefault(name, []).extend(1e3 * value for value in seconds)


def _note_peak(worker: Worker, result: Result) -> None:
    peak = worker.ask("peak")
    result["flops_per_image"], result["peak_source"] = peak["flops_per_image"], peak["source"]
    result.setdefault("peak_flops_per_s", []).append(peak["flops_per_s"])


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
                    attempt(contender.name, result, launch)
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
        attempt(contender.name, result, functools.partial(measure, contender))
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
