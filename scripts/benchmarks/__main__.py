"""ferjax beside PyTorch, Keras and onnxruntime on this machine: VGG19 at 48 px, float32, Adam.

Results gather in --out, one file for each task and batch size, and the table and the figure are made of all that are
there; so a long benchmark can be run in pieces.
"""

import argparse
import datetime
import json
import os
import pathlib
import signal
import sys
import types
from collections.abc import Mapping, Sequence

from scripts.benchmarks import conditions, figure, results, tables, tasks, training_rows
from scripts.benchmarks.contenders import CONTENDERS
from scripts.benchmarks.processes import ROOT, Bench
from scripts.benchmarks.results import Result

BATCHES: Mapping[str, tuple[int, ...]] = types.MappingProxyType(
    {"train": (32, 128), "pipeline": (32, 128), "inference": (1, 32, 256), "launch": (32,), "memory": (32, 128)}
)
SAME_WORK_BATCH = 32
LARGEST_DIFFERENCE = 1e-4


def main() -> int:
    """Run what was asked for, write what is known, and fail where ferjax and PyTorch do not do the same work."""
    options = _parse()
    out: pathlib.Path = options.out.resolve()
    # However the driver ends, the contenders' processes go with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wrong = [] if options.table else _measure(options, out)
    known = results.read(out / "results")
    if not known:
        print(f"There are no results in {out / 'results'}.", file=sys.stderr)
        return 2
    print(_write(known, out))
    difference = results.find_largest_difference(known)
    if difference is not None and not difference <= LARGEST_DIFFERENCE:
        wrong.append(f"the losses of ferjax and PyTorch differ by {difference:.1e}: not the same work")
    for sentence in wrong:
        print(f"benchmark: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/benchmark.sh", description=__doc__)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--task", nargs="+", choices=(*BATCHES, "same_work"), help="all of them by default")
    parser.add_argument("--batch", nargs="+", type=int, help="batch sizes, of those that a task has")
    parser.add_argument("--contender", nargs="+", choices=names, default=names, help="all of them by default")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--data", default="synthetic", help="what ferjax reads, or an .npz (default: drawn faces)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "workdir" / "benchmark")
    parser.add_argument("--threads", type=int, default=0, help="cores that are used (default: all)")
    parser.add_argument("--tensorflow-python", default=sys.executable, help=argparse.SUPPRESS)
    parser.add_argument("--add", action="store_true", help="add the rounds to those of an earlier run of the same")
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table and the figure")
    options = parser.parse_args()
    options.rounds = 2 if options.quick else options.rounds
    return options


def _measure(options: argparse.Namespace, out: pathlib.Path) -> list[str]:
    """Measure what was asked for, a file for each task and batch size; return what the contenders failed with."""
    source, data = training_rows.write(options.data, out / "data")
    # No contender can take more cores, whether it is told so or not: the processes inherit this.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads or None])
    threads = len(os.sched_getaffinity(0))
    pythons = {"main": sys.executable, "tensorflow": options.tensorflow_python}
    bench = Bench(pythons, source, data, out, threads)
    about = conditions.describe(bench, options.data)
    failures: list[str] = []
    for task, batch in _list_work(options):
        print(f"{task}, batch {batch}", flush=True)
        result = _run(task, batch, bench, options)
        result["conditions"] = about
        result["when"] = datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
        path = out / "results" / f"{task}_{batch}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if options.add and task != "same_work" and path.exists():
            result = results.merge(json.loads(path.read_text()), result)
        path.write_text(json.dumps(result, indent=1))
        failures += [f"{name}: {reason}" for name, reason in result.get("failed", {}).items()]
    return failures


def _write(known: Sequence[Result], out: pathlib.Path) -> str:
    """Write benchmark.md, benchmark.csv and benchmark.png; return the Markdown."""
    text = tables.to_markdown(known)
    (out / "benchmark.md").write_text(text, encoding="utf-8")
    (out / "benchmark.csv").write_text(tables.to_csv(known), encoding="utf-8")
    figure.draw(known, out / "benchmark.png")
    return text


def _list_work(options: argparse.Namespace) -> list[tuple[str, int]]:
    wanted = options.task or ["same_work", *BATCHES]
    sizes = {**BATCHES, "same_work": (SAME_WORK_BATCH,)}
    return [
        (task, batch) for task in wanted for batch in sizes[task] if options.batch is None or batch in options.batch
    ]


def _run(task: str, batch: int, bench: Bench, options: argparse.Namespace) -> Result:
    names = set(options.contender)
    if task == "same_work":
        return tasks.compare_losses(batch, bench)
    if task == "launch":
        return tasks.measure_launch(batch, bench, names, min(options.rounds, 3))
    if task == "memory":
        return tasks.measure_memory(batch, bench, names)
    return tasks.measure_speed(task, batch, bench, names, options.rounds)


if __name__ == "__main__":
    sys.exit(main())
