"""The processes that run the contenders: one at a time works, and the others are stopped."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

from scripts.benchmarks.contenders import Contender

ROOT = pathlib.Path(__file__).resolve().parents[2]
# More often would take time from the run: 5 ms was 3 % of it on two cores.
_POLL_S = 0.05
_MADE_OF = ("jax", "flax", "torch", "keras", "tensorflow-cpu", "tensorflow", "onnxruntime")


class ContenderError(Exception):
    """A contender's process ended, or never did what it was asked."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all contenders share.

    `pythons` are the interpreters by environment, `source` the data set that ferjax reads, `data` its training rows for
    the others, `folder` where logs and caches go.
    """

    pythons: Mapping[str, str]
    source: str
    data: pathlib.Path
    folder: pathlib.Path
    threads: int

    def create_environment(self, cache: pathlib.Path) -> dict[str, str]:
        """Return the variables of a contender that keeps what it compiles in `cache`."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_", "KERAS_", "TF_"))
        }
        own = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "OMP_NUM_THREADS": str(self.threads),
            "FERJAX_CACHE": str(cache / "ferjax"),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # On a GPU the contenders take turns, but all of them keep their memory; jax would take most of it.
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        return kept | own


class Runner(Protocol):
    """A process that measures itself when it is its turn."""

    def prepare(self) -> float:
        """Compile and warm up; return how many seconds that took."""

    def measure(self, steps: int) -> float:
        """Return the seconds of a step, as the mean of `steps`."""


class _Process:
    """A process in a group of its own, which can be stopped, and which ends when the block does."""

    def __init__(self, command: list[str], environment: dict[str, str], log: pathlib.Path, pipe: int) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT,
                stdin=pipe,
                stdout=pipe,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.log = log

    def signal(self, which: signal.Signals) -> None:
        """Send a signal to the whole group, if there still is one."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, which)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                # Output that could not be written any more is not needed.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Let the process run within the block; a stopped one cannot spin on the cores that another is timed on."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def create_error(self) -> ContenderError:
        """Make the error that says what the process said last."""
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        return ContenderError(f"{lines[-1]} (all of it in {self.log})")


class Worker(_Process):
    """A contender behind scripts.benchmarks.worker."""

    def __init__(self, contender: Contender, bench: Bench, cache: pathlib.Path | None = None) -> None:
        environment = bench.create_environment(cache or bench.folder / "cache")
        if contender.keras_backend:
            environment["KERAS_BACKEND"] = contender.keras_backend
        arguments = [contender.module, contender.form, str(bench.data), str(bench.threads)]
        super().__init__(
            [bench.pythons[contender.environment], "-m", "scripts.benchmarks.worker", *arguments],
            environment,
            bench.folder / "logs" / f"{contender.name.replace(' ', '_')}.log",
            subprocess.PIPE,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; raises ContenderError where the process ended instead."""
        questions, answers = self.process.stdin, self.process.stdout
        assert questions is not None
        assert answers is not None
        with self.turn():
            try:
                questions.write(json.dumps({"do": do, **arguments}) + "\n")
                questions.flush()
                line = answers.readline()
            except BrokenPipeError:
                line = ""
        if not line:
            raise self.create_error()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask_seconds(self, do: str, **arguments: Any) -> float:
        """Send a command whose answer is a number of seconds."""
        return float(self.ask(do, **arguments)["seconds"])


class Stepper:
    """A worker at one task and batch size; in each turn the `first` steps do not count."""

    def __init__(self, worker: Worker, task: str, batch: int, first: int = 0) -> None:
        self._worker, self._task, self._batch, self._first = worker, task, batch, first

    def prepare(self) -> float:
        return self._worker.ask_seconds("prepare", task=self._task, batch=self._batch)

    def measure(self, steps: int) -> float:
        return self._worker.ask_seconds("measure", steps=steps, first=self._first) / steps


class Run(_Process):
    """A real run of `python -m ferjax.main`, read through its metrics.jsonl."""

    def __init__(
        self,
        bench: Bench,
        workdir: pathlib.Path,
        batch: int,
        log_every_steps: int,
        cache: pathlib.Path | None = None,
    ) -> None:
        flags = {
            "data.path": bench.source,
            "train.batch_size": batch,
            "train.log_every_steps": log_every_steps,
            "train.checkpoint_interval_s": 1e6,
        }
        command = [bench.pythons["main"], "-m", "ferjax.main", "--config", str(ROOT / "configs" / "random_init.py")]
        super().__init__(
            [*command, "--workdir", str(workdir), *(f"--config.{key}={value}" for key, value in flags.items())],
            bench.create_environment(cache or bench.folder / "cache"),
            bench.folder / "logs" / "ferjax_main.log",
            subprocess.DEVNULL,
        )
        self._metrics, self._batch = workdir / "metrics.jsonl", batch

    def wait_lines(self, count: int) -> dict[str, Any]:
        """Return the newest line of steps, once there are `count`."""
        while len(lines := self._read_lines()) < count:
            if self.process.poll() is not None:
                raise self.create_error()
            time.sleep(_POLL_S)
        return lines[-1]

    def _read_lines(self) -> list[dict[str, Any]]:
        if not self._metrics.exists():
            return []
        whole = [line for line in self._metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in map(json.loads, whole) if line["split"] == "train_step"]

    def prepare(self) -> float:
        start_s = time.perf_counter()
        with self.turn():
            self.wait_lines(1)
        return time.perf_counter() - start_s

    def measure(self, steps: int) -> float:
        """Return the seconds of a step in one whole logged window, which has `log_every_steps` whatever `steps` is."""
        with self.turn():
            # The window that runs on after a stop has the stop in it, and does not count.
            line = self.wait_lines(len(self._read_lines()) + 2)
        return self._batch / float(line["images_per_s"])


def find_versions(python: str, names: Sequence[str] = _MADE_OF) -> dict[str, str]:
    """Return the versions of what an environment's contenders are made of."""
    command = [python, "-m", "scripts.benchmarks.versions", *names]
    found: dict[str, str] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found
