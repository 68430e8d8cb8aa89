"""Real runs: the seconds to each accuracy of configs/fast.py, and the course report's settings on VGG19 at random."""

import json
import statistics
import time
from typing import Any

from scripts.accelerator.recorder import Recorder
from scripts.accelerator.runs import Run, read_lines

# The report's settings; each from random weights here.
_SETTINGS = ("optimal", "no_augmentation", "focal_gamma2", "no_normalization", "focal_gamma5", "batch2048", "lr_1e_3")
_SEEDS = (0, 1, 2, 3, 4)


def run(recorder: Recorder) -> None:
    """Train configs/fast.py in float32 and in bfloat16, and note each validation as it comes."""
    for dtype in ("float32",) if recorder.short else ("float32", "bfloat16"):
        with recorder.attempt("time to accuracy", dtype=dtype):
            _follow(recorder, dtype)


def _follow(recorder: Recorder, dtype: str) -> None:
    keys: dict[str, Any] = {"model.dtype": dtype, "eval.split": "auto"}
    if recorder.short:
        keys |= {"train.batch_size": 24, "train.epochs": 2, "optim.warmup_epochs": 1.0, "eval.views": "none"}
    seen: list[tuple[float, float]] = []
    start_s = time.perf_counter()
    with Run(recorder, "fast", recorder.work / "fast" / dtype, keys) as training:
        while training.process.poll() is None and recorder.left_s() > 2:
            time.sleep(0.05)
            for line in training.read("validation")[len(seen) :]:
                seen.append((round(time.perf_counter() - start_s, 2), round(line["accuracy"], 4)))
                recorder.note("epoch", dtype=dtype, seconds=seen[-1][0], accuracy=seen[-1][1])
        code, told = training.process.poll(), training.read("train")
        recorder.note(
            "time to accuracy",
            dtype=dtype,
            data="synthetic" if recorder.short else recorder.data,
            code=code,
            seconds=time.perf_counter() - start_s,
            best=max((accuracy for _, accuracy in seen), default=None),
            images_per_s=[line.get("images_per_s") for line in told],
            utilization=[line.get("model_flop_utilisation") for line in told],
            said="" if code == 0 else training.said(),
        )


def run_study(recorder: Recorder) -> None:
    """Train the report's settings on VGG19 from random weights, five seeds of each side by side."""
    for config in _SETTINGS[:1] if recorder.short else _SETTINGS:
        if recorder.has_time(30):
            with recorder.attempt("study", config=config):
                _train_setting(recorder, config)
        else:
            recorder.note("left out", why="no time", config=config)


def _train_setting(recorder: Recorder, config: str) -> None:
    seeds = _SEEDS[:2] if recorder.short else _SEEDS
    keys: dict[str, Any] = {"init.pretrained": "none", "train.seeds": f"({','.join(map(str, seeds))})"}
    if recorder.short:
        keys |= {"train.batch_size": 24, "train.epochs": 1}
    workdir, start_s = recorder.work / "study" / config, time.perf_counter()
    with Run(recorder, config, workdir, keys) as training:
        code = training.wait(recorder.left_s() - 3)
        found = []
        for seed in seeds:
            lines = read_lines(workdir / f"seed_{seed}", "validation")
            report = workdir / f"seed_{seed}" / "report.json"
            test = json.loads(report.read_text(encoding="utf-8")) if code == 0 and report.exists() else {}
            best = max((line["accuracy"] for line in lines), default=None)
            found.append({"seed": seed, "epochs": len(lines), "validation": best, "reported": test.get("accuracy")})
    values = [seed["reported"] or seed["validation"] for seed in found if seed["validation"] is not None]
    spread = statistics.stdev(values) if len(values) > 1 else None
    mean = statistics.mean(values) if values else None
    facts = {"mean": mean, "std": spread, "seeds": found, "code": code, "said": "" if code == 0 else training.said()}
    recorder.note("study", config=config, seconds=time.perf_counter() - start_s, finished=code == 0, **facts)
