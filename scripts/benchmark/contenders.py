"""Who takes part, and the processes that run them: one at a time works, and the others are stopped."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any, Protocol

ROOT = pathlib.Path(__file__).resolve().parents[2]
FERJAX, BARE = "ferjax", "ferjax, bare step"
ONNX_FILE = "vgg19.onnx"
# More often would take time from the run: 5 ms was 3 % of it on two cores.
_POLL_S = 0.05


class ContenderError(Exception):
    """A contender's process ended, or never did what it was asked."""


_TASKS = ("train", "pipeline", "inference", "launch", "memory")


@dataclasses.dataclass(frozen=True)
class Contender:
    """`family` is what ratios are taken within; `module` is the worker's, `form` its argument."""

    name: str
    family: str
    module: str
    form: str = ""
    environment: str = "main"
    keras_backend: str = ""
    tasks: tuple[str, ...] = _TASKS


CONTENDERS = (
    Contender(FERJAX, "ferjax", "ferjax_worker"),
    Contender("PyTorch, eager", "PyTorch", "torch_worker", "eager", tasks=(*_TASKS, "same_work")),
    Contender("PyTorch, channels_last", "PyTorch", "torch_worker", "channels_last", tasks=(*_TASKS, "same_work")),
    Contender("PyTorch, compile + channels_last", "PyTorch", "torch_worker", "compile"),
    Contender("Keras on TensorFlow", "Keras", "keras_worker", "", "tensorflow", "tensorflow"),
    Contender(
        "Keras on TensorFlow, no XLA", "Keras", "keras_worker", "plain", "tensorflow", "tensorflow", tasks=("train",)
    ),
    Contender("Keras on JAX", "Keras", "keras_worker", "", "main", "jax"),
    Contender("onnxruntime", "onnxruntime", "onnx_worker", ONNX_FILE, tasks=("inference",)),
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all contenders of a benchmark share.

    `pythons` are the interpreters by environment, `source` the data set that ferjax reads, `data` its training rows for
    the others, `folder` where logs and caches go.
    """

    pythons: dict[str, str]
    source: str
    data: pathlib.Path
    folder: pathlib.Path
    threads: int

    def environment(self, cache: pathlib.Path) -> dict[str, str]:
        """The variables of a contender that keeps what it compiles in `cache`."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_", "KERAS_", "TF_"))
        }
        path = os.pathsep.join([str(ROOT), str(ROOT / "scripts"), kept.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        own = {
            "PYTHONPATH": path,
            "OMP_NUM_THREADS": str(self.threads),
            "FERJAX_CACHE": str(cache / "ferjax"),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        return kept | own


class Runner(Protocol):
    """A process that measures itself when it is its turn."""

    def prepare(self) -> float:
        """Compile and warm up; seconds that took."""

    def measure(self, steps: int) -> float:
        """Seconds a step."""


class _Process:
    """A process in a group of its own, which can be stopped and goes when the block ends."""

    def __init__(self, command: list[str], environment: dict[str, str], log: pathlib.Path, **pipes: Any) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                command, env=environment, cwd=ROOT, stderr=errors, start_new_session=True, **pipes
            )
        self.log = log

    def signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, which)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                # What could not be written any more is not missed.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    @contextlib.contextmanager
    def turn(self) -> Any:
        """Within the block the process runs; a stopped one can't spin on the cores that another is timed on."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def failure(self) -> ContenderError:
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        return ContenderError(f"{lines[-1]} (all of it in {self.log})")


class Worker(_Process):
    """A contender behind benchmark.worker."""

    def __init__(self, contender: Contender, setting: Setting, cache: pathlib.Path | None = None) -> None:
        environment = setting.environment(cache or setting.folder / "cache")
        if contender.keras_backend:
            environment["KERAS_BACKEND"] = contender.keras_backend
        arguments = [contender.module, contender.form, str(setting.data), str(setting.threads)]
        super().__init__(
            [setting.pythons[contender.environment], "-m", "benchmark.worker", *arguments],
            environment,
            setting.folder / "logs" / f"{contender.name.replace(' ', '_')}.log",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        with self.turn():
            try:
                self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline()
            except BrokenPipeError:
                answer = ""
        if not answer:
            raise self.failure()
        return json.loads(answer)


class Stepper:
    """A worker at one task and batch size; in each turn `first` steps don't count."""

    def __init__(self, worker: Worker, task: str, batch: int, first: int = 0) -> None:
        self.worker, self._task, self._batch, self._first = worker, task, batch, first

    def prepare(self) -> float:
        return self.worker.ask("prepare", task=self._task, batch=self._batch)["seconds"]

    def measure(self, steps: int) -> float:
        return self.worker.ask("measure", steps=steps, first=self._first)["seconds"] / steps


class Run(_Process):
    """A real run of `python -m ferjax.main`, read through its metrics.jsonl."""

    def __init__(
        self,
        setting: Setting,
        workdir: pathlib.Path,
        batch: int,
        log_every_steps: int,
        cache: pathlib.Path | None = None,
    ) -> None:
        flags = {
            "data.path": setting.source,
            "train.batch_size": batch,
            "train.log_every_steps": log_every_steps,
            "train.checkpoint_interval_s": 1e6,
        }
        command = [setting.pythons["main"], "-m", "ferjax.main", "--config", str(ROOT / "configs" / "random_init.py")]
        super().__init__(
            [*command, "--workdir", str(workdir), *(f"--config.{key}={value}" for key, value in flags.items())],
            setting.environment(cache or setting.folder / "cache"),
            setting.folder / "logs" / "ferjax_main.log",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._metrics, self._batch = workdir / "metrics.jsonl", batch

    def wait_lines(self, count: int) -> dict[str, Any]:
        """The newest line of steps, once there are `count`."""
        while len(lines := self._lines()) < count:
            if self.process.poll() is not None:
                raise self.failure()
            time.sleep(_POLL_S)
        return lines[-1]

    def _lines(self) -> list[dict[str, Any]]:
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
        """Seconds a step of one whole logged window, which has `log_every_steps` steps whatever `steps` is."""
        with self.turn():
            # The window that runs on after a stop has the stop in it, and doesn't count.
            line = self.wait_lines(len(self._lines()) + 2)
        return self._batch / line["images_per_s"]


def find_versions(python: str) -> dict[str, str]:
    """The versions of what an environment's contenders are made of."""
    names = ("jax", "flax", "torch", "keras", "tensorflow-cpu", "tensorflow", "onnxruntime")
    program = (
        "import importlib.metadata as m, json, sys\nfound = {}\n"
        "for name in sys.argv[1:]:\n  try: found[name] = m.version(name)\n  except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    return json.loads(subprocess.run([python, "-c", program, *names], capture_output=True, check=True).stdout)
