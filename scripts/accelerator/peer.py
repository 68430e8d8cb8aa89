"""PyTorch's VGG19 with the same optimizer on a batch in memory, as in scripts/benchmark.sh, on the same device."""

import importlib.util
import os
from typing import Any

import numpy as np

from ferjax.training import flops
from scripts.accelerator.recorder import Recorder

# FLOPs of one image in a training step: three forward passes of VGG19 (docs/performance.md).
_FLOPS = 3 * 1.7916e9
_CASES = (
    ("bfloat16", 128),
    ("float32", 32),
    ("bfloat16", 1024),
    ("float32", 1024),
    ("bfloat16", 32),
    ("bfloat16", 4096),
)
_FORMS = ("channels_last", "compile", "eager")


def run(recorder: Recorder) -> None:
    """Measure each form at each batch; jax is not started, so that it takes no memory of the device."""
    if importlib.util.find_spec("torch") is None:
        recorder.note("left out", why="PyTorch is not installed here")
        return
    import torch

    images = str(recorder.work / "train.npz")
    pixels = np.random.default_rng(0).integers(0, 256, (4096, 48, 48)).astype(np.uint8)
    np.savez(images, pixels=pixels, labels=np.arange(4096, dtype=np.int32) % 7)
    torch.backends.cudnn.benchmark = True
    for dtype, batch in _CASES[1:2] if recorder.short else _CASES:
        for form in _FORMS[:1] if recorder.short else _FORMS:
            if recorder.has_time(10):
                with recorder.attempt("PyTorch", form=form, batch=batch, dtype=dtype):
                    _measure(recorder, torch, images, form, batch, dtype)


def _measure(recorder: Recorder, torch: Any, images: str, form: str, batch: int, dtype: str) -> None:
    from scripts.benchmarks import torch_worker

    on_gpu = torch.cuda.is_available()
    half = torch.autocast("cuda" if on_gpu else "cpu", torch.bfloat16, dtype == "bfloat16")
    size = 1 if recorder.short else batch
    with half:
        step, wait = torch_worker.create(form, "train", size, images, os.cpu_count() or 1)
        took = recorder.time_it(step, wait)
    rate = 1e3 * size / took["ms"]
    name = torch.cuda.get_device_name() if on_gpu else "cpu"
    peak = flops.look_up(name, dtype)
    facts = {
        "device": name,
        "torch": torch.__version__,
        "utilization": flops.find_utilization(round(_FLOPS), rate, peak, 1),
        "peak_mb_so_far": torch.cuda.max_memory_allocated() / 1e6 if on_gpu else 0.0,
    }
    recorder.note("PyTorch", form=form, batch=size, dtype=dtype, images_per_s=rate, **took, **facts)
