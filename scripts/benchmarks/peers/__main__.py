"""A network in use beside other packages for facial expressions, each in a process of its own.

    bash scripts/benchmark_inference.sh --peers [NAME...] [--rounds 5] [--network RUN]

The first use installs the packages in folders of .bench (or $BENCH): 2 GB for fer, 2 GB for facex, 6 GB for PyEmotion.
All are given the same pictures: crops of drawn faces, 48 pixels wide, and scikit-image's portrait in 640x360 pixels.
They take turns, and warming up does not count. It wants a quiet machine; the numbers are of all its cores.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

import ferjax
from ferjax.documents.markdown import to_markdown
from ferjax.export import export
from ferjax.networks.saved import SHIPPED
from scripts.benchmarks import conditions, training_rows
from scripts.benchmarks.contenders import Contender
from scripts.benchmarks.contest import Turns
from scripts.benchmarks.inference import draw_frames
from scripts.benchmarks.peers.packages import CROPS, NAMES, OURS, PICTURE, PYTORCH, choose, list_environments
from scripts.benchmarks.peers.pictures import NETWORK_FILE, PICTURE_FILE
from scripts.benchmarks.peers.table import list_failures, list_starts, make_table
from scripts.benchmarks.processes import ROOT, Bench, ContenderError, Stepper, Worker, find_versions
from scripts.benchmarks.results import Result

WORK = ((CROPS, 1), (CROPS, 8), (CROPS, 64), (PICTURE, 1))
TURN_S = 1.0
LARGEST_DIFFERENCE = 1e-4


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and fail where something failed or PyTorch's logits are not ferjax's."""
    options = _parse(arguments)
    contenders = choose(options.peers)
    if options.environments:
        print("\n".join(list_environments(contenders)))
        return 0
    # However the driver ends, the contenders' processes go with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    out = options.out.resolve()  # the contenders' processes may run in another folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = _write(options.network, pathlib.Path(folder))
        bench = Bench(_find_pythons(options.bench, contenders), "", data, out, len(os.sched_getaffinity(0)))
        wrong = list(_compare_logits(contenders, bench))
        results = [_measure(task, batch, contenders, bench, options.rounds) for task, batch in WORK]
    (out / "results.json").write_text(json.dumps(results, indent=1))
    print(f"\n{_describe(bench)}\n")
    print(to_markdown(make_table(results)))
    print(f"Ready after, at most: {', '.join(list_starts(results))}.")
    wrong += list_failures(results)
    for sentence in wrong:
        print(f"benchmark: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("scripts/benchmark_inference.sh", description=__doc__, formatter_class=raw)
    parser.add_argument("--peers", nargs="*", default=[], choices=NAMES, help="beside ferjax (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--network", default=str(SHIPPED), metavar="RUN", help="by default what ferjax brings along")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "workdir" / "peers", help="for results and logs")
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / ".bench", help=argparse.SUPPRESS)
    parser.add_argument("--environments", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _find_pythons(bench: pathlib.Path, contenders: Sequence[Contender]) -> dict[str, str]:
    # Not resolved: an environment's interpreter is a link, and is known by where the link lies.
    made = {name: str(bench.absolute() / name / "bin" / "python") for name in list_environments(contenders)}
    return {"main": sys.executable, **made}


def _describe(bench: Bench) -> str:
    """Name the machine, and what is installed: two peers may have two releases of one package."""
    mine = {"main": bench.pythons["main"]}
    about = conditions.describe(dataclasses.replace(bench, pythons=mine), "synthetic")
    found = {name: find_versions(python, ("torch", "tensorflow-cpu", name)) for name, python in bench.pythons.items()}
    found["main"] = {f"Python {about['python']}": "", **about["versions"]}
    environments = (", ".join(" ".join(pair).strip() for pair in versions.items()) for versions in found.values())
    return f"{about['cpu']}, {about['cores']} cores; {'; '.join(environments)}."


def _write(run: str, folder: pathlib.Path) -> pathlib.Path:
    """Write what the contenders read; return the file of the crops, beside which the rest lies."""
    _, data = training_rows.write("synthetic", folder)
    np.save(folder / PICTURE_FILE, next(draw_frames(1)))
    ferjax.load(run).save(folder / NETWORK_FILE)
    export(folder / NETWORK_FILE, folder, ["onnx"])
    return data


def _compare_logits(contenders: Sequence[Contender], bench: Bench, batch: int = 64) -> Iterator[str]:
    """Print by how much the logits of the same network in PyTorch differ at most; yield where that is too much."""
    same = [contender for contender in contenders if contender.family == PYTORCH]
    if not same:
        return
    with Worker(OURS, bench) as worker:
        ours = np.asarray(worker.ask("logits", data=str(bench.data), batch=batch)["logits"])
    for contender in same:
        with contextlib.suppress(ContenderError), Worker(contender, bench) as worker:  # it will fail in its turn too
            theirs = worker.ask("logits", form=contender.form, data=str(bench.data), batch=batch)["logits"]
            difference = float(np.abs(ours - np.asarray(theirs)).max())
            print(f"{contender.name}: logits differ by at most {difference:.1e}", flush=True)
            if not difference <= LARGEST_DIFFERENCE:
                yield f"the logits of {contender.name} differ by {difference:.1e} from ferjax's: not the same network"


def _measure(task: str, batch: int, contenders: Sequence[Contender], bench: Bench, rounds: int) -> Result:
    print(f"{task}, batch {batch}", flush=True)
    unit = "faces/s" if task == CROPS else "pictures/s"
    result: Result = {"task": task, "batch": batch, "unit": unit, "values": {}, "failed": {}, "prepare_s": {}}
    turns = Turns(task, batch, result, TURN_S)
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            if task in contender.tasks:
                turns.add(contender.name, Stepper(stack.enter_context(Worker(contender, bench)), task, batch))
        for number in range(rounds):
            turns.take_round(number)
    return result


if __name__ == "__main__":
    sys.exit(main())
