"""Several workers on this machine: processes of the same command, each with its own GPU where there are enough."""

import logging
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ferjax import machine
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt, InterruptedRun

logger = logging.getLogger("ferjax")

_POLL_S = 0.2


def run_workers(arguments: Sequence[str], count: int, folder: pathlib.Path, watch: Callable[[], None]) -> None:
    """Run `count` workers of this command to their end, each with its log in `folder`; `watch` is called meanwhile.

    A signal is passed on to the workers once; then this raises InterruptedRun. Raises UserError where a worker failed.
    """
    # The flags at the end switch off what only the first process of a search does.
    command = [sys.executable, "-m", "ferjax.search", *arguments, "--workers=1", "--noretry_failed"]
    workers: list[tuple[pathlib.Path, subprocess.Popen[bytes]]] = []
    signum = None
    with Interrupt() as interrupt:
        interrupt.defer()
        for i, environment in enumerate(_share_devices(list_gpus(), count, os.environ)):
            path = folder / f"worker_{i}.log"
            with path.open("ab") as log:
                # A worker has a session of its own, so that Ctrl-C reaches it only through this process, and only once.
                worker = subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, **machine.detach()
                )
            workers.append((path, worker))
        logger.info("%d workers, which write to %s", count, ", ".join(str(path) for path, _ in workers))
        while any(worker.poll() is None for _, worker in workers):
            try:
                if interrupt.signum is not None and signum is None:
                    signum = interrupt.signum
                    _signal(workers, signum)
                watch()
                time.sleep(_POLL_S)
            except InterruptedRun as again:
                _signal(workers, again.signum)
    if signum is not None:
        raise InterruptedRun(signum, f"The workers have saved, in {folder}. The same command goes on from there.")
    failed = [(path, worker.returncode) for path, worker in workers if worker.returncode]
    if failed:
        path, code = failed[0]
        said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise UserError(
            f"{len(failed)} of {count} workers failed: {path} ends with code {code} and '{said[-1] if said else ''}'; "
            "mend that, and the same command goes on."
        )


def _signal(workers: Sequence[tuple[pathlib.Path, subprocess.Popen[bytes]]], signum: int) -> None:
    for _, worker in workers:
        machine.pass_on(worker, signum)


def list_gpus() -> list[str]:
    """List the NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.stdout.splitlines()))]


def _share_devices(gpus: Sequence[str], count: int, environment: "os._Environ[str]") -> list[dict[str, str]]:
    """Make the environment of every worker: its GPU, and a share of the memory where several workers have the same."""
    environments = []
    for i in range(count):
        own = dict(environment)
        if gpus:
            own["CUDA_VISIBLE_DEVICES"] = gpus[i % len(gpus)]
            sharing = len(range(i % len(gpus), count, len(gpus)))
            if sharing > 1:
                own.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / sharing:.3f}")
        environments.append(own)
    return environments
