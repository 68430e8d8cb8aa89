"""What changes the whole process: only ever switched on by a command, never on import."""

import contextlib
import gc
import os
import pathlib
import sys
import warnings
from collections.abc import Iterator

from ferjax import compile_cache, machine


def keep_memory() -> None:
    """Have this process keep the memory that it frees, where glibc is and the CPU computes; call it before jax starts.

    XLA allocates the buffers of each step anew, and on CPU the page faults of fresh memory took a fifth of a step. The
    process stays as large as it was at most.
    """
    if not machine.has_accelerator_files():
        machine.keep_freed_memory()


@contextlib.contextmanager
def collect_only_new() -> Iterator[None]:
    """Have Python's garbage collector look only at the objects that the block makes.

    To walk through all that jax brings along takes it a tenth of a second, some thirty times in a large study.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_compiled() -> None:
    """Have jax keep what it compiles in ferjax's cache: a second start of the same program skips compiling.

    Entries that an accident cut off are removed first. Where nothing can be kept a warning says so, and jax goes on
    without a cache, or only reads the one that is there.
    """
    import jax

    from ferjax.data.cache import cache_dir, warn_unwritable

    own = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    name: str | None = str(cache_dir() / "xla") if own is None else own
    if name and "://" not in name:  # else there is none, or it is on a server, whose writes are whole
        folder = pathlib.Path(name)
        if refusal := compile_cache.find_refusal(folder):
            warn_unwritable(
                *((cache_dir(), refusal) if own is None else (folder, refusal, "JAX_COMPILATION_CACHE_DIR"))
            )
        if os.path.isdir(folder):
            compile_cache.remove_broken(folder)
        else:
            name = None
    # What fails later, on a disk that fills up, costs a compilation and no result: jax warns of each entry.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry", UserWarning)
    jax.config.update("jax_compilation_cache_dir", name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def has_fast_bfloat16() -> bool:
    """Return whether jax's default devices multiply bfloat16 matrices faster than float32 ones, as far as is known.

    TPUs do, NVIDIA's GPUs from compute capability 8.0 on, and x86 CPUs with AVX-512 BF16 or AMX, where Linux says so.
    """
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return not machine.read_cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
    if device.platform == "gpu":
        capability = str(getattr(device, "compute_capability", "")).split(".")[0]
        return capability.isdigit() and int(capability) >= 8
    return bool(device.platform == "tpu")


def divide_cpu(parts: int) -> None:
    """Have jax take the CPU for so many devices, at most one a processor; call it before jax finds its devices.

    XLA shares the layers of a small network badly among cores: two devices with half of the rows each are faster. A
    number in XLA_FLAGS or JAX_NUM_CPU_DEVICES stays, and so do the devices of a program in which jax has begun.
    """
    import jax

    parts = min(parts, machine.count_processors())
    flags = os.environ.get("XLA_FLAGS", "")
    if parts > 1 and "xla_force_host_platform_device_count" not in flags and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # jax has begun
            jax.config.update("jax_num_cpu_devices", parts)


def find_devices() -> None:
    """Have jax find its devices; raises UserError where the environment asks for some that are not there."""
    import jax

    from ferjax.errors import UserError

    try:
        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        said = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"jax finds no device{f' of JAX_PLATFORMS={asked}' if asked else ''}{f' ({said})' if said else ''}: "
            "JAX_PLATFORMS=cpu trains on the CPU, and pip install 'ferjax[cuda12]' brings what an NVIDIA GPU needs."
        ) from error


def import_tensorboard() -> None:
    """Import tensorboardX without torch, which it would import, for four seconds, wherever that is installed.

    It can write scalars without torch. Does nothing where torch has been imported already.
    """
    if "torch" not in sys.modules:
        # The documented way to make Python not find a module.
        sys.modules["torch"] = None  # type: ignore[assignment]
        try:
            import tensorboardX  # noqa: F401
        finally:
            del sys.modules["torch"]
