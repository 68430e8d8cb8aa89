"""Do a run, the same once more, and the same that was killed on the way end in the same bits, and compiled anew too?"""

import filecmp
import pathlib
import time
from typing import Any

from scripts.accelerator.recorder import Recorder
from scripts.accelerator.runs import Run, read_lines

# Name of the run, the cache of what was compiled, deterministic sums, killed on the way. The first is what the others
# are compared with; "fixed" ones with one another.
_RUNS = (
    ("straight", "cache_a", False, False),
    ("killed", "cache_a", False, True),
    ("again", "cache_a", False, False),
    ("fixed sums", "cache_b", True, False),
    ("fixed sums, killed, compiled anew", "cache_c", True, True),
    ("compiled anew", "cache_d", False, False),
)


def run(recorder: Recorder) -> None:
    """Take the runs one after the other, and compare each as soon as it has ended."""
    folder, references = recorder.work / "resume", dict[bool, pathlib.Path]()
    for name, cache, fixed, killed in _RUNS[:2] if recorder.short else _RUNS:
        if not recorder.has_time(15):
            recorder.note("left out", why="no time", run=name)
            continue
        with recorder.attempt("same bits", run=name):
            workdir = folder / name.replace(", ", "_").replace(" ", "_")
            kills = _take(recorder, workdir, cache, fixed, killed)
            if fixed not in references:
                references[fixed] = workdir
                recorder.note("run", run=name, lines=len(read_lines(workdir, "train_step")))
                continue
            recorder.note("same bits", run=name, kills=kills, **_compare(references[fixed], workdir))


def _take(recorder: Recorder, workdir: pathlib.Path, cache: str, fixed: bool, killed: bool) -> int:
    """Run to the end, and be killed halfway if `killed`; return how often that happened."""
    steps = 120 if recorder.short else 400
    keys: dict[str, Any] = {
        "data.path": "synthetic",
        "data.synthetic_rows": 280 if recorder.short else 14000,
        "train.steps": steps,
        "train.batch_size": 24 if recorder.short else 32,
        "train.log_every_steps": 2 if recorder.short else 10,
        "train.checkpoint_interval_s": 0.5,
        "train.deterministic": fixed,
        "parallel.steps_per_dispatch": 2 if recorder.short else 10,
        "parallel.devices": 1,
    }
    if recorder.short:
        keys |= {f"augment.{name}": 0.0 for name in ("flip_prob", "rotation_deg", "shift_fraction", "zoom_fraction")}
    config, kills = "quickstart" if recorder.short else "random_init", 0
    if killed:
        with Run(recorder, config, workdir, keys, cache) as first:
            while first.process.poll() is None and recorder.left_s() > 5:
                lines = first.read("train_step")
                if lines and lines[-1]["step"] >= steps // 2 and any((workdir / "checkpoints").glob("step_*")):
                    break
                time.sleep(0.02)
            kills = int(first.process.poll() is None)
    with Run(recorder, config, workdir, keys, cache) as whole:
        code = whole.wait(recorder.left_s())
        if code:
            raise RuntimeError(f"exit code {code}: {whole.said()}")
        if code is None:
            raise TimeoutError("the run did not end in time")
    return kills


def _compare(one: pathlib.Path, other: pathlib.Path) -> dict[str, Any]:
    """Compare the answers for the evaluated split, every digit, and the logged losses; tell where they part."""
    losses = [[(line["step"], line["loss"]) for line in read_lines(folder, "train_step")] for folder in (one, other)]
    by_step = [dict(pairs) for pairs in losses]  # a killed run logs some steps twice; the later one counts
    apart = next((step for step, loss in sorted(by_step[0].items()) if by_step[1].get(step) != loss), None)
    same = filecmp.cmp(one / "predictions.csv", other / "predictions.csv", shallow=False)
    return {"predictions": same, "first_step_apart": apart, "passed": same and apart is None}
