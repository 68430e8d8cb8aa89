"""What only a GPU or a TPU shows of ferjax: numerics, speed, PyTorch beside it, resuming, seeds, real runs.

    bash scripts/check_accelerator.sh [--data fer2013.csv] [--out FOLDER] [--seconds 580] [--stage NAME ...] [--short]

Each stage is a process of its own with a time limit, the most wanted first. Every result is a line of results.jsonl as
soon as it is known, and summary.md is written anew after each stage: a time-out or a crash loses only what it
interrupts. --short does all of it once and small, to try it on a CPU. Exit code 1 where a comparison failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from ferjax.files import write_text
from scripts.accelerator.recorder import RESULTS_FILE
from scripts.accelerator.stages import STAGES
from scripts.accelerator.summary import summarize

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# A stage ends by itself a little before it would be killed.
_SPARE_S = 3.0


def main() -> int:
    """Run the stages one after the other; return the exit code."""
    options = _parse()
    out: pathlib.Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    total, deadline_s = sum(stage.seconds for stage in STAGES.values()), time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="ferjax_accelerator_", ignore_cleanup_errors=True) as work:
        for name in options.stage:
            share_s = STAGES[name].seconds * options.seconds / total
            limit_s = 3600.0 if options.short else min(share_s, deadline_s - time.monotonic())
            if limit_s > 2 * _SPARE_S:
                print(f"{name}, at most {limit_s:.0f} s: {STAGES[name].text}", flush=True)
                _run_stage(name, out, pathlib.Path(work), limit_s, options.short, options.data)
                write_text(out / "summary.md", summarize(out))
    page = summarize(out)
    print(f"\n{page}\nAll of it is in {out}: results.jsonl, summary.md.")
    return int("## What failed" in page)


def _parse() -> argparse.Namespace:
    stages = "\n".join(f"  {name:<9} {stage.text}" for name, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/check_accelerator.sh",
        description=f"{__doc__}\nStages:\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("workdir/accelerator"), help="results go there"
    )
    parser.add_argument("--seconds", type=float, default=580.0, help="for all stages together")
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES), metavar="NAME", help="only these")
    parser.add_argument("--data", default="synthetic", help="FER-2013, as data.path takes it; drawn faces without it")
    parser.add_argument("--short", action="store_true", help="everything once and small")
    options = parser.parse_args()
    if options.data != "synthetic":
        options.data = str(pathlib.Path(options.data).resolve())
    return options


def _run_stage(name: str, out: pathlib.Path, work: pathlib.Path, limit_s: float, short: bool, data: str) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        # It keeps what autotuning chose, too.
        "JAX_COMPILATION_CACHE_DIR": str(work / "programs"),
        # Beside PyTorch, and beside the runs that a stage starts.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    arguments = [name, str(out), str(work), str(limit_s - _SPARE_S), str(short), data]
    command = [sys.executable, "-m", "scripts.accelerator.stage", *arguments]
    child = subprocess.Popen(command, env=environment, cwd=_ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        if code := child.wait(timeout=limit_s):
            _note(out, name, f"the process ended with code {code}")
    except subprocess.TimeoutExpired:
        _note(out, name, f"stopped after {limit_s:.0f} s")
    finally:
        with contextlib.suppress(
            ProcessLookupError
        ):  # and the runs that it started, which would disturb the next stage
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _note(out: pathlib.Path, name: str, why: str) -> None:
    """Write why a stage's results end here, where the stage itself could not."""
    with (out / RESULTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": name, "what": "broken off", "why": why}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
