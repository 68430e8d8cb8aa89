"""What is measured: each task gathers the figures of every contender, round by round, in turns."""

import contextlib
import math
import pathlib
import tempfile
import time
from typing import Any

from benchmark.contenders import (
    BARE,
    CONTENDERS,
    FERJAX,
    ONNX_FILE,
    Contender,
    ContenderError,
    Run,
    Runner,
    Setting,
    Stepper,
    Worker,
)

# A turn lasts about this long, or one step if that is longer.
_TURN_S = {"train": 3.0, "pipeline": 3.0, "inference": 1.0}
_MOST_STEPS = 500
_LATENCY_CALLS = 100
# At 1e-4 Adam's first steps, of which little more than the gradient's sign counts, blow rounding up: two layouts of
# PyTorch then differ by 1e-3 nats after 5 steps, and so does each of them from float64.
SAME_WORK = {"steps": 5, "learning_rate": 1e-6}

Result = dict[str, Any]


def measure_speed(task: str, batch: int, setting: Setting, names: set[str], rounds: int) -> Result:
    """Images a second of 'train', 'pipeline' or 'inference'; of batch 1 also each call's milliseconds."""
    result: Result = {"task": task, "batch": batch, "unit": "images/s", "values": {}, "failed": {}, "prepare_s": {}}
    with contextlib.ExitStack() as stack:
        if task == "inference" and "onnxruntime" in names:
            _try("onnxruntime", result, lambda: _export(setting))
        runners, steps = _prepare(task, batch, setting, names, stack, result)
        for turn in range(rounds):
            order = list(runners)
            # Nobody always begins a round, when the machine may have cooled or another program begun.
            for name in order[turn % len(order) :] + order[: turn % len(order)]:
                _try(name, result, lambda name=name: _take_turn(name, runners[name], steps[name], batch, result))
            if task == "train" and FERJAX in result["values"]:
                peak = runners[FERJAX].worker.ask("peak")
                result["flops_per_image"], result["peak_source"] = peak["flops_per_image"], peak["source"]
                result.setdefault("peak_flops_per_s", []).append(peak["flops_per_s"])
        if task == "inference" and batch == 1:
            result["latency_ms"] = {}
            for _ in range(rounds):
                for name in list(result["values"]):
                    seconds = runners[name].worker.ask("time_each", steps=_LATENCY_CALLS)["seconds"]
                    result["latency_ms"].setdefault(name, []).extend(1e3 * value for value in seconds)
    return result


def _prepare(
    task: str, batch: int, setting: Setting, names: set[str], stack: contextlib.ExitStack, result: Result
) -> tuple[dict[str, Runner], dict[str, int]]:
    """Start every contender, compile, and choose the steps of its turns; all but the one at it are stopped."""
    runners: dict[str, Runner] = {}
    steps: dict[str, int] = {}

    def begin(name: str, runner: Runner) -> None:
        result["prepare_s"][name] = runner.prepare()
        steps[name] = min(_MOST_STEPS, max(1, math.ceil(_TURN_S[task] / runner.measure(1))))
        runners[name] = runner
        print(f"  {name}: ready after {result['prepare_s'][name]:.1f} s, {steps[name]} steps a turn", flush=True)

    for contender in _take_part(task, names):
        bare = task == "pipeline" and contender.name == FERJAX
        name = BARE if bare else contender.name
        worker = stack.enter_context(Worker(contender, setting))
        # A run's first window after a stop doesn't count, so here nobody's first step does.
        stepper = Stepper(worker, "train" if bare else task, batch, first=int(task == "pipeline"))
        _try(name, result, lambda name=name, stepper=stepper: begin(name, stepper))
        if bare and BARE in steps:
            workdir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            run = stack.enter_context(Run(setting, workdir, batch, steps[BARE]))
            _try(FERJAX, result, lambda run=run: begin(FERJAX, run))
    return runners, steps


def _take_turn(name: str, runner: Runner, steps: int, batch: int, result: Result) -> None:
    result["values"].setdefault(name, []).append(batch / runner.measure(steps))


def _try(name: str, result: Result, do: Any) -> None:
    """One contender's failure is noted, and the others go on."""
    if name in result["failed"]:
        return
    try:
        do()
    except ContenderError as error:
        result["failed"][name] = str(error)
        result["values"].pop(name, None)
        print(f"  {name} failed: {error}", flush=True)


def _take_part(task: str, names: set[str]) -> list[Contender]:
    return [contender for contender in CONTENDERS if contender.name in names and task in contender.tasks]


def _find(name: str) -> Contender:
    return next(contender for contender in CONTENDERS if contender.name == name)


def _export(setting: Setting) -> None:
    path = setting.data.parent / ONNX_FILE
    if not path.exists():
        with Worker(_find("PyTorch, eager"), setting) as worker:
            worker.ask("export", path=str(path))


def measure_launch(batch: int, setting: Setting, names: set[str], rounds: int) -> Result:
    """Seconds from a process's start to the end of its first training step, first with empty caches, then again.

    ferjax is its own command line, reading and caching the data set; the others are the least script that reads the
    training rows, augments and trains.
    """
    result: Result = {"task": "launch", "batch": batch, "unit": "s", "values": {}, "again": {}, "failed": {}}
    for _ in range(rounds):
        for contender in _take_part("launch", names):
            with tempfile.TemporaryDirectory() as cache:
                for part in ("values", "again"):
                    _try(contender.name, result, lambda c=contender, p=part, f=cache: _launch(c, p, f, setting, result))
    return result


def _launch(contender: Contender, part: str, cache: str, setting: Setting, result: Result) -> None:
    place = pathlib.Path(cache)
    start_s = time.perf_counter()
    if contender.name == FERJAX:
        with Run(setting, place / part, result["batch"], 1, place) as run:
            run.wait_lines(1)
            seconds = time.perf_counter() - start_s
    else:
        with Worker(contender, setting, place) as worker:
            worker.ask("launch", task="pipeline", batch=result["batch"])
            seconds = time.perf_counter() - start_s
    result[part].setdefault(contender.name, []).append(seconds)
    print(f"  {contender.name}: {seconds:.1f} s", flush=True)


def measure_memory(batch: int, setting: Setting, names: set[str]) -> Result:
    """The most memory, in MB, of a fresh process that has taken three training steps on a batch in memory."""
    result: Result = {"task": "memory", "batch": batch, "unit": "MB", "values": {}, "failed": {}}

    def measure(contender: Contender) -> None:
        with Worker(contender, setting) as worker:
            worker.ask("prepare", task="train", batch=batch)
            worker.ask("measure", steps=1)
            result["values"][contender.name] = [worker.ask("memory")["peak_mb"]]

    for contender in _take_part("memory", names):
        _try(contender.name, result, lambda c=contender: measure(c))
    return result


def compare_losses(batch: int, setting: Setting) -> Result:
    """The losses of ferjax and of two layouts of PyTorch over some steps from the same parameters and batches."""
    rate = {"learning_rate": SAME_WORK["learning_rate"]}
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "same_work.npz")
        with Worker(_find(FERJAX), setting) as worker:
            given = {"data": str(setting.data), "path": path, "batch": batch}
            values[FERJAX] = worker.ask("same_work", **given, **SAME_WORK)["losses"]
        for contender in _take_part("same_work", {contender.name for contender in CONTENDERS}):
            with Worker(contender, setting) as worker:
                given = {"form": contender.form, "path": path, "threads": setting.threads}
                values[contender.name] = worker.ask("same_work", **given, **rate)["losses"]
    return {"task": "same_work", "batch": batch, "unit": "nats", "values": values, **SAME_WORK}
