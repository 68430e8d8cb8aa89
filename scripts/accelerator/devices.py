"""Which devices and versions are here, and the ceilings of one device: large matrix products, and a copy."""

import functools
import shutil
import subprocess

import jax
import jax.numpy as jnp

from ferjax import versions
from ferjax.training import flops
from scripts.accelerator.recorder import Recorder


def run(recorder: Recorder) -> None:
    """Describe, then time products in each arithmetic and a copy."""
    smi = ""
    if shutil.which("nvidia-smi"):
        smi = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20).stdout
    kind, count = jax.devices()[0].device_kind, jax.device_count()
    recorder.note("device", kind=kind, count=count, start=versions.describe_start(0, "float32", 1), nvidia_smi=smi)
    for dtype, precision in (("bfloat16", "default"), ("float32", "default"), ("float32", "highest")):
        with recorder.attempt("product", dtype=dtype, precision=precision):
            _time_product(recorder, dtype, precision)
    with recorder.attempt("copy"):
        big = jnp.ones(2**20 if recorder.short else 2**30, jnp.float32)
        took = recorder.time_it(functools.partial(jax.jit(lambda x: x + 1), big), jax.block_until_ready, 0.3)
        recorder.note("copy", tb_per_s=2e-9 * big.nbytes / took["ms"], **took)


def _time_product(recorder: Recorder, dtype: str, precision: str) -> None:
    side = 128 if recorder.short else 8192
    wanted = None if precision == "default" else precision
    factor = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(functools.partial(jnp.matmul, precision=wanted))
    took = recorder.time_it(functools.partial(product, factor, factor), jax.block_until_ready, 0.3)
    peak = flops.Peak(None, "short") if recorder.short else flops.find_peak(dtype, precision)
    facts = {"tflops": 2e-9 * side**3 / took["ms"], "peak": peak.flops_per_s, "peak_of": peak.source}
    recorder.note("product", dtype=dtype, precision=precision, **facts, **took)
