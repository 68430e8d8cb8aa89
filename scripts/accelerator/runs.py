"""Real runs of `ferjax train`, each in a process of its own, read through its metrics.jsonl."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from scripts.accelerator.recorder import Recorder

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Run:
    """A run in `workdir`; its log lies beside that folder. The process ends when the block does."""

    def __init__(
        self, recorder: Recorder, config: str, workdir: pathlib.Path, keys: dict[str, Any], cache: str = "xla"
    ) -> None:
        small = {"model.width": 0.05, "data.path": "synthetic", "data.synthetic_rows": 280} if recorder.short else {}
        flags = [f"--config.{key}={value}" for key, value in ({"data.path": recorder.data} | keys | small).items()]
        own = {"FERJAX_CACHE": str(recorder.work / cache)}
        inherited = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        self.workdir, self.log = workdir, workdir.with_name(f"{workdir.name}.log")
        workdir.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ferjax", "train", "--config", config, "--workdir", str(workdir), *flags],
                env=inherited | own,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self, seconds: float) -> int | None:
        """Wait for the end, at most so long; return the exit code, or None where the run goes on."""
        try:
            return self.process.wait(timeout=max(seconds, 1.0))
        except subprocess.TimeoutExpired:
            return None

    def read(self, split: str) -> list[dict[str, Any]]:
        """Read the lines of a split that are there so far."""
        return read_lines(self.workdir, split)

    def said(self) -> str:
        """Return the end of what the run said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-800:]


def read_lines(workdir: pathlib.Path, split: str) -> list[dict[str, Any]]:
    """Read the whole lines of a split in a run's metrics.jsonl; none where there is no such file yet."""
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return []
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in map(json.loads, whole) if line["split"] == split]
